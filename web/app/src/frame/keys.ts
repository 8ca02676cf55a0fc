// The keys that work without Ctrl or Alt: whoever is on the page says which they are and what they do, and `?` lists
// exactly those.
//
// A newcomer would get wrong which of two wins: whoever came last, so a page's list goes before the rail's.

import { useEffect, useRef, type RefObject } from 'react';

export interface Shortcut {
  does: string;
  /** What the key does; `false` leaves it to the browser. Nothing where that does it by itself. */
  call?: (event: KeyboardEvent) => unknown;
}

/** Keys by their names; two that follow one another have a space between them. */
export type Shortcuts = Record<string, Shortcut>;

interface Layer {
  about: string;
  keys: Shortcuts;
}

const layers: { current: Layer }[] = [];

/** How long the second key of two may take, in milliseconds. */
const PATIENCE = 1000;
let began: { key: string; at: number } | undefined;

/** Whether keys are somebody's words right now, or belong to a dialog. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : undefined;
  return (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    target?.isContentEditable === true ||
    target?.closest('input, textarea, select, [role=dialog], [role=menu], .xterm') != null
  );
}

function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || isTyping(event)) return;
  const first = began && event.timeStamp - began.at < PATIENCE ? `${began.key} ` : '';
  began = undefined;
  for (const name of first ? [first + event.key, event.key] : [event.key]) {
    const { call } = layers.findLast(({ current }) => current.keys[name])?.current.keys[name] ?? {};
    if (!call) continue;
    if (call(event) !== false) event.preventDefault();
    return;
  }
  began = { key: event.key, at: event.timeStamp };
}

if (typeof window !== 'undefined') window.addEventListener('keydown', press);

/** Makes keys work for as long as the caller is on the page. They may change from one drawing to the next. */
export function useKeys(about: string, keys: Shortcuts): void {
  const latest = useRef<Layer>({ about, keys });
  latest.current = { about, keys };
  useEffect(() => {
    layers.push(latest);
    return () => void layers.splice(layers.indexOf(latest), 1);
  }, []);
}

/** Returns what works now, and where: the nearest first. */
export function shortcutsNow(): { about: string; keys: [string, string][] }[] {
  const known = new Set<string>();
  return layers
    .toReversed()
    .map(({ current: { about, keys } }) => {
      const own = Object.entries(keys).filter(([key]) => !known.has(key));
      for (const [key] of own) known.add(key);
      return { about, keys: own.map(([key, { does }]): [string, string] => [key, does]) };
    })
    .filter(({ keys }) => keys.length > 0);
}

interface Rows {
  /** What holds the rows, each with its place in `data-row`, and made to take the focus. */
  box: RefObject<HTMLElement | null>;
  count: number;
  /** Brings a row into being that is far from the screen. */
  scrollTo?: (index: number) => void;
}

const rowOf = (element: Element | null | undefined) => element?.closest<HTMLElement>('[data-row]');

/** Moves the focus through the rows of a list, and opens what the one that has it leads to. */
export function useRows(about: string, { box, count, scrollTo }: Rows): void {
  const move = (step: number) => () => {
    const element = box.current;
    if (!element || count === 0) return false;
    const focused = rowOf(document.activeElement);
    // Whoever begins, begins at the page that is open, or at an end.
    const here = focused && element.contains(focused) ? focused : rowOf(element.querySelector('[aria-current=page]'));
    const from = here ? Number(here.dataset.row) : step > 0 ? -1 : count;
    const to = Math.max(0, Math.min(count - 1, from + step));
    scrollTo?.(to);
    focusRow(element, to, 10);
    return true;
  };
  useKeys(about, {
    j: { does: 'Next', call: move(1) },
    k: { does: 'Previous', call: move(-1) },
    Enter: {
      does: 'Open',
      call: () => {
        // What has the focus inside a row opens by itself.
        const row = document.activeElement as HTMLElement | null;
        const link = row?.matches('[data-row]') && box.current?.contains(row) ? row.querySelector('a') : undefined;
        if (!link) return false;
        link.click();
        return true;
      },
    },
  });
}

/** Gives a row the focus, as soon as it is there. */
function focusRow(box: HTMLElement, index: number, tries: number): void {
  const row = box.querySelector<HTMLElement>(`[data-row="${index}"]`);
  if (row) {
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: 'nearest' });
  } else if (tries > 0) requestAnimationFrame(() => focusRow(box, index, tries - 1));
}
