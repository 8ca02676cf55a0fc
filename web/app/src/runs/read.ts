// Reads of a transcript, and what is read of it first.

import { api, ApiError, asProblem, Unreachable, unwrap } from '../api/client';
import type { Placed } from './events';
import { pageOf, type Page } from './pages';

export interface Read {
  events: Placed[];
  /** Where what follows them begins. */
  next: string;
  /** Whether there was nothing more. */
  isEnd: boolean;
}

/** Reads from an offset: about 1 MiB, or to the end. */
export async function readFrom(runId: string, offset: string, signal?: AbortSignal): Promise<Read> {
  const url = `/api/runs/${runId}/transcript?offset=${encodeURIComponent(offset)}`;
  const response = await fetch(url, { signal: signal ?? null }).catch((error: unknown) => {
    throw signal?.aborted ? error : new Unreachable();
  });
  if (!response.ok) throw new ApiError(asProblem(await response.json().catch(() => null), response));
  return {
    events: (await response.json()) as Placed[],
    next: response.headers.get('stream-next-offset') ?? offset,
    isEnd: response.headers.get('stream-up-to-date') === 'true',
  };
}

/** What a transcript is opened with. */
export interface Opening {
  pages: Page[];
  /** The number of the last event there is. */
  last: number;
  nextOffset: string;
  closed: boolean;
  /** Which page is shown first, and the beginning of it; nothing of a transcript without events. */
  shown?: { page: number; read: Read };
}

/** Reads where the pages are, and the one with an event, or the last. */
export async function readOpening(runId: string, event: number | undefined, signal?: AbortSignal): Promise<Opening> {
  const asked = api.GET('/api/runs/{runId}/transcript/index', { params: { path: { runId } }, signal: signal ?? null });
  const { nextOffset, closed, ...index } = await unwrap(asked);
  const pages = index.pages.map(({ event: first, offset }): Page => ({ first, offset }));
  const last = index.lastEvent ?? 0;
  const page = event === undefined || event > last ? pages.length - 1 : pageOf(pages, event);
  const offset = pages[page]?.offset;
  const opening = { pages, last, nextOffset, closed };
  return offset === undefined ? opening : { ...opening, shown: { page, read: await readFrom(runId, offset, signal) } };
}

let ahead: { runId: string; event: number | undefined; opening: Promise<Opening> } | undefined;

/** Asks for an opening as soon as an address names the run: the page that shows it is still on its way. */
export function askAhead(runId: string, event: number | undefined): void {
  const opening = readOpening(runId, event);
  // Whoever takes it hears of a failure; maybe nobody does.
  opening.catch(() => {});
  ahead = { runId, event, opening };
}

/** Returns the opening that was asked for ahead, once: it grows old. */
export function takeAhead(runId: string, event: number | undefined): Promise<Opening> | undefined {
  const found = ahead;
  ahead = undefined;
  return found?.runId === runId && found.event === event ? found.opening : undefined;
}
