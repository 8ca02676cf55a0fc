// The end of a transcript, live: a Durable Streams read by server-sent events.
//
// What comes counts only once the control event behind it has said where that ends. A connection that breaks in
// between is taken up before it, so nothing is lost and nothing comes twice, whatever breaks and however often.

import { ApiError } from '../api/client';
import { listen, pause } from '../live/sse';
import type { Placed } from './events';
import { seen, whenHidden } from './visible';

/** A server that restarts is back soon; one that is away is asked every few seconds. */
const BACKOFF = [250, 500, 1000, 2000, 3000];

interface Control {
  streamNextOffset: string;
  streamClosed?: boolean;
}

export interface Following {
  /** Takes events, how many characters they were, and where what follows them begins. */
  onEvents: (events: Placed[], size: number, next: string) => void;
  onConnected: () => void;
}

/** Follows from an offset until the stream is closed, nothing may be read any more, or it is told to stop. */
export async function follow(url: string, offset: string, stop: AbortSignal, following: Following): Promise<void> {
  let position = offset;
  let failures = 0;
  let closed = false;
  while (!stop.aborted && !closed) {
    await seen(stop);
    if (stop.aborted) return;
    const connection = new AbortController();
    const end = () => connection.abort();
    stop.addEventListener('abort', end);
    const forget = whenHidden(end);
    const began = Date.now();
    let data: string[] = [];
    try {
      await listen(`${url}?offset=${encodeURIComponent(position)}&live=sse`, {
        signal: connection.signal,
        onOpen: () => {
          failures = 0;
          following.onConnected();
        },
        onEvent: (event) => {
          if (event.event === 'data') data.push(event.data);
          if (event.event !== 'control') return;
          const control = JSON.parse(event.data) as Control;
          const events = data.flatMap((part) => JSON.parse(part) as Placed[]);
          const size = data.reduce((sum, part) => sum + part.length, 0);
          data = [];
          position = control.streamNextOffset;
          closed = control.streamClosed === true;
          if (events.length > 0) following.onEvents(events, size, position);
        },
      });
      // The server ends a connection every minute; that is no failure.
      if (closed || Date.now() - began > 1000) continue;
    } catch (error) {
      if (stop.aborted) return;
      if (connection.signal.aborted) continue;
      if (error instanceof ApiError && error.problem.status >= 400 && error.problem.status < 500) {
        // Too many readers may pass; whatever else is refused stays so.
        if (error.problem.status !== 429) return;
      }
    } finally {
      stop.removeEventListener('abort', end);
      forget();
    }
    await pause(BACKOFF[Math.min(failures++, BACKOFF.length - 1)] ?? 3000, stop);
  }
}
