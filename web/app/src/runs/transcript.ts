// The transcript of a run as the page has it: the pages around what is on screen, and the end as it grows.
//
// A newcomer would get wrong: most of a transcript is not here. The held pages are neighbours, what they hold is
// folded as one, and scrolling, a link or a search moves them. So a run of any length opens at once and takes no
// more memory than a short one. Positions are the server's offsets, numbers the events' own.

import { Unreachable } from '../api/client';
import type { Placed } from './events';
import { Fold, placeOf, type Entry, type Turn } from './fold';
import { follow } from './follow';
import { around, pageOf, type Held, type Page } from './pages';
import { readFrom, readOpening, takeAhead, type Read } from './read';
import { nextTask, painted } from './visible';

/** From how many characters, or events, on what comes live is a page of its own. */
const PAGE_SIZE = 1_000_000;
const PAGE_EVENTS = 5000;
/** With fewer entries than this the page before is wanted as well: they may not fill the screen. */
const FEW = 80;
/** How near the edge of what is held a reader may come before more is read. */
const NEAR = 40;

export interface View {
  state: 'opening' | 'open' | 'failed';
  error?: unknown;
  entries: readonly Entry[];
  /** The turns seen so far, whether or not their pages are still held. */
  turns: readonly Turn[];
  /** Whether the first, or the last, event is among what is held. */
  atStart: boolean;
  atEnd: boolean;
  /** Whether the reader is at the end and stays there. */
  following: boolean;
  /** How many entries came at the end since the reader left it. */
  fresh: number;
}

const NOTHING: View = {
  state: 'opening',
  entries: [],
  turns: [],
  atStart: true,
  atEnd: true,
  following: true,
  fresh: 0,
};

export class Transcript {
  private readonly path: string;
  private pages: Page[] = [];
  private held: Held = [0, 0];
  private fold = new Fold(true);
  /** What came live at the end while its page is not held: only to count it. */
  private unheld = new Fold(true);
  /** The number of the last event there is. */
  private last = 0;
  private tail = { size: 0, events: 0 };
  private readonly turns = new Map<string, Turn>();
  private following = true;
  private fresh = 0;
  private view = NOTHING;
  private readonly listeners = new Set<() => void>();
  private stop = new AbortController();
  /** Counts what the reader was led to; an older read that comes late changes nothing. */
  private aim = 0;
  private reading = false;
  /** What was on screen when it was told during a read. */
  private unheard: [first: number, last: number] | undefined;
  private pending: { events: Placed[]; size: number; next: string }[] = [];
  private cancelFlush: (() => void) | undefined;
  private readonly runId: string;

  constructor(runId: string) {
    this.runId = runId;
    this.path = `/api/runs/${runId}/transcript`;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): View => this.view;

  /** Opens the end, or the place of an event, and follows what comes. */
  async open(event?: number): Promise<void> {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.aim += 1;
    this.held = [0, 0];
    this.show({ state: 'opening', error: undefined });
    try {
      const opening = await (takeAhead(this.runId, event) ?? readOpening(this.runId, event, signal));
      if (signal.aborted) return;
      this.pages = opening.pages;
      this.last = opening.last;
      this.tail = { size: 0, events: 0 };
      let { nextOffset } = opening;
      const { shown } = opening;
      if (shown) {
        this.following = event === undefined;
        const read = await this.read(shown.page, signal, shown.read);
        if (signal.aborted) return;
        if (shown.page === this.pages.length - 1) {
          nextOffset = read.next;
          this.last = Math.max(this.last, read.events.at(-1)?.seq ?? 0);
        }
        this.hold(shown.page, read.events);
      } else {
        this.pages = [{ first: 1, offset: '-1', events: [] }];
        this.held = [0, 1];
      }
      this.refold();
      // What was asked for ahead is here while the page around it is still being drawn: one after the other.
      await nextTask();
      if (signal.aborted) return;
      this.show({ state: 'open' });
      void this.goOn(signal);
      if (opening.closed) return;
      void follow(this.path, nextOffset, signal, {
        onEvents: (events, size, next) => this.take(events, size, next),
        // What could not be read while the server was away is read now.
        onConnected: () => this.show({ error: undefined }),
      });
    } catch (error) {
      if (!signal.aborted) this.show({ state: 'failed', error });
    }
  }

  /** Reads around what is shown, once that is painted: nobody waits for what is not on screen. */
  private async goOn(signal: AbortSignal): Promise<void> {
    this.reading = true;
    await painted(signal);
    this.reading = false;
    if (signal.aborted) return;
    const { unheard } = this;
    this.unheard = undefined;
    if (this.fold.entries.length < FEW) void this.more('before');
    else if (unheard) this.onScreen(...unheard);
  }

  close(): void {
    this.stop.abort();
    this.cancelFlush?.();
    this.cancelFlush = undefined;
    this.pending = [];
  }

  /**
   * Says from which entry to which is on screen, by their numbers, so that more is read before the reader comes to it
   * and what is far is let go.
   */
  onScreen(first: number, last: number): void {
    if (this.view.state !== 'open') return;
    if (this.reading) {
      this.unheard = [first, last];
      return;
    }
    const { entries } = this.fold;
    // What is held may be nothing that is shown.
    if (entries.length === 0) return void this.more(this.held[0] > 0 ? 'before' : 'after');
    const [before, after] = around(pageOf(this.pages, first), pageOf(this.pages, last));
    const [start, end] = this.held;
    if (before > start || after < end) {
      this.letGo([Math.max(before, start), Math.min(after, end)]);
      this.refold();
      // The list tells what is on screen then.
      return this.show({});
    }
    // What would be let go at once is not read: few entries may fill many pages.
    if (placeOf(entries, first) < NEAR && before < start) void this.more('before');
    else if (entries.length - placeOf(entries, last) < NEAR && after > end) void this.more('after');
  }

  /** Says whether the reader is at the end and stays there. */
  follows(following: boolean): void {
    if (following === this.following) return;
    this.following = following;
    if (following) this.fresh = 0;
    this.show({});
  }

  /** Holds the page an event is in, and no longer those that are not beside it. */
  async goTo(event: number): Promise<void> {
    const page = pageOf(this.pages, event);
    const aim = ++this.aim;
    if (this.pages[page]?.events) return;
    await this.attempt(async (signal) => {
      const { events } = await this.read(page, signal);
      if (aim !== this.aim) return;
      this.letGo([page, page]);
      this.hold(page, events);
      this.refold();
      this.show({});
    });
  }

  goToEnd(): Promise<void> {
    return this.goTo(this.last);
  }

  private heldToEnd = () => this.held[1] === this.pages.length;

  /** Reads the page before, or after, what is held. */
  private async more(where: 'before' | 'after'): Promise<void> {
    const page = where === 'before' ? this.held[0] - 1 : this.held[1];
    if (this.reading || page < 0 || page >= this.pages.length) return;
    this.reading = true;
    const { aim } = this;
    await this.attempt(async (signal) => {
      const { events } = await this.read(page, signal);
      // The reader may have been led elsewhere meanwhile.
      if (aim !== this.aim || (page !== this.held[0] - 1 && page !== this.held[1])) return;
      this.hold(page, events);
      this.refold();
      this.show({});
    });
    this.reading = false;
    const { unheard } = this;
    this.unheard = undefined;
    if (unheard) this.onScreen(...unheard);
  }

  private async attempt(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.stop;
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted && !(error instanceof Unreachable)) this.show({ error });
    }
  }

  /** Reads a page, of which the beginning may be there: up to the next one, or to all that is known of the end. */
  private async read(index: number, signal: AbortSignal, beginning?: Read): Promise<{ events: Placed[]; next: string }> {
    const page = this.pages[index];
    const events: Placed[] = [];
    if (!page) return { events, next: '-1' };
    const begins = page.first;
    let read = beginning ?? (await readFrom(this.runId, page.offset, signal));
    for (;;) {
      const { events: found, next, isEnd } = read;
      // Pages may have been added meanwhile.
      const after = this.pages[index + 1]?.first ?? Infinity;
      for (const event of found) if (event.seq >= begins && event.seq < after) events.push(event);
      const last = found.at(-1)?.seq ?? 0;
      // While the end was read it may have been taken further, live.
      if (isEnd ? after < Infinity || last >= this.last || found.length === 0 : last >= after - 1) return { events, next };
      read = await readFrom(this.runId, next, signal);
    }
  }

  private hold(index: number, events: Placed[]): void {
    const page = this.pages[index];
    if (!page) return;
    // What is newer than what was taken live will come live.
    const after = this.pages[index + 1]?.first ?? this.last + 1;
    page.events = events.filter((event) => event.seq < after);
    const [from, to] = this.held;
    this.held = from === to ? [index, index + 1] : [Math.min(from, index), Math.max(to, index + 1)];
  }

  private letGo(stay: Held): void {
    for (const [index, page] of this.pages.entries()) {
      if (index < stay[0] || index >= stay[1]) delete page.events;
    }
    this.held = stay;
  }

  private refold(): void {
    this.fold = new Fold(this.held[0] === 0);
    for (const page of this.pages.slice(...this.held)) for (const event of page.events ?? []) this.fold.push(event);
  }

  /** Takes what came live. It is shown with the next frame, however many pieces it came in. */
  private take(events: Placed[], size: number, next: string): void {
    this.pending.push({ events, size, next });
    if (this.cancelFlush) return;
    const flush = () => {
      this.cancelFlush = undefined;
      const pending = this.pending;
      this.pending = [];
      for (const piece of pending) this.append(piece.events, piece.size, piece.next);
      this.show({});
    };
    if (document.visibilityState === 'visible') {
      const frame = requestAnimationFrame(flush);
      this.cancelFlush = () => cancelAnimationFrame(frame);
    } else {
      const timer = setTimeout(flush, 1000);
      this.cancelFlush = () => clearTimeout(timer);
    }
  }

  private append(events: Placed[], size: number, next: string): void {
    const page = this.pages.at(-1);
    if (!page) return;
    const isHeld = this.heldToEnd();
    for (const event of events) {
      if (event.seq <= this.last) continue;
      this.last = event.seq;
      this.tail.events += 1;
      if (isHeld) page.events?.push(event);
      const began = (isHeld ? this.fold : this.unheld).push(event);
      if (began && !this.following) this.fresh += 1;
    }
    this.tail.size += size;
    if (this.tail.size < PAGE_SIZE && this.tail.events < PAGE_EVENTS) return;
    this.tail = { size: 0, events: 0 };
    this.unheld = new Fold(true);
    this.pages.push({ first: this.last + 1, offset: next, ...(isHeld && { events: [] }) });
    if (isHeld) this.held = [this.held[0], this.pages.length];
  }

  private show(change: Partial<View>): void {
    // A turn that began on a page that is not held is known from before.
    let { turns } = this.view;
    for (const turn of this.fold.turns) {
      const known = this.turns.get(turn.promptId);
      if (known === turn || (known?.outcome && !turn.outcome)) continue;
      this.turns.set(turn.promptId, turn);
      turns = [];
    }
    if (turns.length < this.turns.size) turns = [...this.turns.values()].sort((one, other) => one.seq - other.seq);
    this.view = {
      ...this.view,
      ...change,
      entries: this.fold.entries.slice(),
      turns,
      atStart: this.held[0] === 0,
      atEnd: this.heldToEnd(),
      following: this.following,
      fresh: this.fresh,
    };
    for (const listener of this.listeners) listener();
  }
}
