// Server-sent events by fetch: unlike EventSource it shows the status of a refusal, and stops when it is told to.

import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { ApiError, asProblem } from '../api/client';

export interface Listening {
  signal: AbortSignal;
  /** Where to go on, as the last event said. */
  lastEventId?: string | undefined;
  onOpen?: (response: Response) => void;
  onEvent: (event: EventSourceMessage) => void;
}

/** Reads one stream to its end. Throws an ApiError if the server refuses it. */
export async function listen(url: string, { signal, lastEventId, onOpen, onEvent }: Listening): Promise<void> {
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
  const response = await fetch(url, { headers, signal, cache: 'no-store' });
  if (!response.ok || !response.body) {
    throw new ApiError(asProblem(await response.json().catch(() => null), response));
  }
  onOpen?.(response);
  const parser = createParser({ onEvent });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}

/** Waits, but not past an abort. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
