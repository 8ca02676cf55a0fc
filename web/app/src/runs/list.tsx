// The transcript on screen: only the entries in view exist, and they keep their place when others come above.

import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown } from 'lucide-react';
import { memo, useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, type Ref } from 'react';
import { useKeys } from '../frame/keys';
import { say, tell } from '../ui/act';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { cx } from '../ui/cx';
import { EntryRow } from './entry';
import { placeOf, type Entry } from './fold';
import type { Folds } from './folds';
import type { Transcript, View } from './transcript';

export interface ListHandle {
  /** Leads to an event, wherever it is. */
  goTo: (seq: number) => void;
  goToEnd: () => void;
}

interface ListProps {
  transcript: Transcript;
  view: View;
  folds: Folds;
  /** The event a link leads to. */
  line: number | undefined;
  handle: Ref<ListHandle>;
  /** Takes the numbers of the first and the last entry in view. */
  onShown: (shown: { first: number; last: number }) => void;
}

/** How near the end counts as at the end, in pixels. */
const AT_END = 24;

/** How high an entry is before it was seen; a bad guess costs a correction of what is not on screen. */
function guess(entry: Entry | undefined): number {
  switch (entry?.kind) {
    case 'message':
      return 40 + Math.min(600, entry.text.length / 4);
    case 'prompt':
      return 80;
    case 'question':
      return 120;
    default:
      return 32;
  }
}

/** Where the entry of an event is, as far as that can be guessed. */
function offsetOf(entries: readonly Entry[], seq: number): number {
  return entries.slice(0, placeOf(entries, seq)).reduce((sum, entry) => sum + guess(entry), 0);
}

export const TranscriptList = memo(function TranscriptList({ transcript, view, folds, line, handle, onShown }: ListProps) {
  const { entries } = view;
  const scroll = useRef<HTMLDivElement>(null);
  const [focused, setFocused] = useState<number>();
  /** Where to go once its page is held. */
  const [wanted, setWanted] = useState<number | 'end' | undefined>(line);
  const list = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroll.current,
    estimateSize: (index) => guess(entries[index]),
    getItemKey: useCallback((index: number) => entries[index]?.seq ?? index, [entries]),
    overscan: 4,
    // What is drawn first is where the reader will be: nothing is drawn in vain.
    initialOffset: () => (line === undefined ? Number.MAX_SAFE_INTEGER : offsetOf(entries, line)),
    // Several things that happen in one frame are drawn once.
    useFlushSync: false,
    anchorTo: 'end',
    scrollEndThreshold: AT_END,
    paddingStart: 8,
    paddingEnd: 16,
  });
  const items = list.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  const top = entries[list.range?.startIndex ?? first]?.seq ?? 0;
  const bottom = entries[list.range?.endIndex ?? last]?.seq ?? 0;

  // A reader who has come to the end stays there; one who scrolls up does not.
  const opened = useRef(false);
  useLayoutEffect(() => {
    if (opened.current || view.state !== 'open' || entries.length === 0) return;
    opened.current = true;
    if (line === undefined) list.scrollToEnd();
  }, [view.state, entries.length, line, list]);

  const look = useCallback(() => {
    const element = scroll.current;
    if (!element || !opened.current) return;
    const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
    transcript.follows(view.atEnd && distance <= AT_END);
  }, [transcript, view.atEnd]);

  // Who follows is at the end before what came is painted, however much it is: the list hears of a scroll only in
  // the next frame, so it is told.
  useLayoutEffect(() => {
    const element = scroll.current;
    if (!element || !opened.current || !view.following || !view.atEnd) return;
    if (element.scrollHeight - element.scrollTop - element.clientHeight < 1) return;
    element.scrollTop = element.scrollHeight;
    element.dispatchEvent(new Event('scroll'));
  }, [entries, view.following, view.atEnd]);

  // A box that opens below takes room from the end.
  const following = useRef(view.following);
  following.current = view.following;
  useEffect(() => {
    const element = scroll.current;
    if (!element) return;
    const watcher = new ResizeObserver(() => {
      if (following.current && opened.current) element.scrollTop = element.scrollHeight;
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  useEffect(() => {
    transcript.onScreen(entries[first]?.seq ?? 0, entries[last]?.seq ?? 0);
    onShown({ first: top, last: bottom });
  }, [transcript, entries, first, last, top, bottom, onShown]);

  useEffect(() => {
    if (wanted === undefined || view.state !== 'open' || entries.length === 0) return;
    if (wanted === 'end') {
      if (!view.atEnd) return;
      list.scrollToEnd();
      transcript.follows(true);
    } else {
      const place = placeOf(entries, wanted);
      const entry = entries[place];
      const next = entries[place + 1];
      // Its page may be on its way.
      if (!entry || entry.seq > wanted || (!next && !view.atEnd)) return;
      transcript.follows(false);
      const { startIndex = 0, endIndex = -1 } = list.range ?? {};
      if (place < startIndex || place > endIndex) list.scrollToIndex(place, { align: 'center' });
      setFocused(entry.seq);
    }
    setWanted(undefined);
  }, [wanted, entries, view.state, view.atEnd, list, transcript]);

  const goTo = useCallback(
    (seq: number) => {
      setWanted(seq);
      void transcript.goTo(seq);
    },
    [transcript],
  );
  const goToEnd = useCallback(() => {
    setFocused(undefined);
    setWanted('end');
    void transcript.goToEnd();
  }, [transcript]);
  useImperativeHandle(handle, () => ({ goTo, goToEnd }), [goTo, goToEnd]);

  // A link to another line of the page that is open.
  const came = useRef(line);
  useEffect(() => {
    if (line === came.current) return;
    came.current = line;
    if (line !== undefined) goTo(line);
  }, [line, goTo]);

  const move = (step: number) => {
    const from = focused === undefined ? (step > 0 ? (list.range?.startIndex ?? 0) - 1 : (list.range?.endIndex ?? 0) + 1) : placeOf(entries, focused);
    const to = Math.max(0, Math.min(entries.length - 1, from + step));
    const entry = entries[to];
    if (!entry) return;
    setFocused(entry.seq);
    scroll.current?.focus({ preventScroll: true });
    list.scrollToIndex(to, { align: 'auto' });
  };
  const copyLink = () => {
    if (focused === undefined) return false;
    const address = new URL(location.href);
    address.searchParams.set('line', String(focused));
    void navigator.clipboard.writeText(address.href).then(() => say(`The link to line ${focused} is copied`), tell);
    return true;
  };
  useKeys('In the transcript', {
    j: { does: 'Next entry', call: () => move(1) },
    k: { does: 'Previous entry', call: () => move(-1) },
    Enter: { does: 'Open or close it' },
    '.': { does: 'Copy the link to it', call: copyLink },
    G: { does: 'Go to the end and follow', call: goToEnd },
  });

  return (
    <div className="relative min-h-0 grow">
      <div
        ref={scroll}
        onScroll={look}
        onKeyDown={(event) => {
          // Inside an entry, Enter is for what has the focus there.
          if (event.key !== 'Enter' || event.target !== event.currentTarget || focused === undefined) return;
          event.preventDefault();
          folds.toggle(focused);
        }}
        tabIndex={0}
        aria-label="Transcript"
        role="region"
        className="h-full overflow-y-auto overscroll-contain [font-variant-ligatures:none] [overflow-anchor:none] outline-none"
      >
        {view.error !== undefined && view.state === 'open' && (
          <div className="p-3">
            <Problem error={view.error} />
          </div>
        )}
        <ol className="relative" style={{ height: list.getTotalSize() }}>
          {items.map((item) => {
            const entry = entries[item.index];
            return (
              entry && (
                <li
                  key={item.key}
                  ref={list.measureElement}
                  data-index={item.index}
                  data-seq={entry.seq}
                  className={cx('absolute inset-x-0', entry.seq === focused && 'bg-hover/60 shadow-[inset_2px_0_0_var(--accent)]')}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <EntryRow entry={entry} isOpen={folds.isOpen(entry)} toggle={folds.toggle} />
                </li>
              )
            );
          })}
        </ol>
      </div>
      {(view.fresh > 0 || !view.atEnd) && (
        <Button
          look="plain"
          onClick={goToEnd}
          className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full shadow-[0_4px_16px_#0003]"
        >
          {view.fresh > 0 ? `${view.fresh} new` : 'Go to the end'}
          <ArrowDown size={14} aria-hidden />
        </Button>
      )}
    </div>
  );
});
