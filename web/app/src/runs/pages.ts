// What is known of a transcript's pages, and which of them are held: those on screen, and one or two around them.

import type { Placed } from './events';

export interface Page {
  /** The number of its first event. */
  first: number;
  /** Where a read of it begins. */
  offset: string;
  /** Its events, while they are held. */
  events?: Placed[];
}

/** Returns which page an event is in. */
export function pageOf(pages: readonly Page[], seq: number): number {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pages[middle]?.first ?? Infinity) <= seq) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** The pages that are held: always neighbours, from the first to before the second number. */
export type Held = readonly [from: number, to: number];

/** How many pages beyond those on screen may stay: fewer would be read again at each turn of a scrolling reader. */
const MARGIN = 2;

/** Returns which pages may stay when these are on screen. */
export function around(firstOnScreen: number, lastOnScreen: number): Held {
  return [firstOnScreen - MARGIN, lastOnScreen + MARGIN + 1];
}
