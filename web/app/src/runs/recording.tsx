// What a terminal showed, after its program ended: all of it at once, to scroll through.

import { useEffect, useRef, useState } from 'react';
import type { Terminal } from '@xterm/xterm';
import { ApiError, asProblem } from '../api/client';
import { Problem } from '../ui/problem';
import type { Placed } from './events';
import { followTheme, makeTerminal } from './xterm';

const SCROLLBACK = 50_000;
/** The screens beside the main one, and the ways programs change to them. */
const OTHER_SCREENS = [47, 1047, 1049];

export function Recording({ runId }: { runId: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<'reading' | 'shown' | 'empty'>('reading');
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const stop = new AbortController();
    let end = () => {};
    void makeTerminal({ scrollback: SCROLLBACK, readOnly: true }).then(async (terminal) => {
      if (stop.signal.aborted || !place.current) return terminal.dispose();
      terminal.open(place.current);
      stayOnOneScreen(terminal);
      const endTheme = followTheme(terminal);
      end = () => {
        endTheme();
        terminal.dispose();
      };
      try {
        const frames = await play(runId, terminal, stop.signal);
        if (!stop.signal.aborted) setState(frames > 0 ? 'shown' : 'empty');
      } catch (failed) {
        if (!stop.signal.aborted) setError(failed);
      }
    });
    return () => {
      stop.abort();
      end();
    };
  }, [runId]);
  return (
    <div className="flex min-h-0 grow flex-col bg-sunken">
      <p role="status" className="border-b border-line bg-panel px-3 py-1 text-quiet md:px-4">
        {state === 'reading' && error === undefined && 'Reading what it showed…'}
        {state === 'shown' && 'The program ended. This is what its terminal showed.'}
        {state === 'empty' && 'The program ended before its terminal showed anything.'}
      </p>
      {error !== undefined && (
        <div className="p-4">
          <Problem error={error} />
        </div>
      )}
      <div className="min-h-0 grow overflow-auto p-2">
        <div ref={place} aria-label="What the terminal showed" role="group" />
      </div>
    </div>
  );
}

/** Keeps what a full-screen program showed last, which it takes away as it ends. */
function stayOnOneScreen(terminal: Terminal): void {
  for (const final of ['h', 'l']) {
    terminal.parser.registerCsiHandler({ prefix: '?', final }, (parameters) =>
      parameters.some((parameter) => OTHER_SCREENS.includes(Number(parameter))),
    );
  }
}

/** As asciinema has it; the API description tells only how many there are. */
type Frame = [seconds: number, code: string, data: string];

/** Writes all frames of a run to a terminal; returns how many there were. */
async function play(runId: string, terminal: Terminal, signal: AbortSignal): Promise<number> {
  let frames = 0;
  let offset = '-1';
  for (;;) {
    const response = await fetch(`/api/runs/${runId}/transcript?offset=${encodeURIComponent(offset)}`, { signal });
    if (!response.ok) throw new ApiError(asProblem(await response.json().catch(() => null), response));
    let text = '';
    const write = () => new Promise<void>((done) => terminal.write(text, done));
    for (const { event } of (await response.json()) as Placed[]) {
      if (event.type === 'terminal_opened') terminal.resize(event.width, event.height);
      if (event.type !== 'terminal_frame') continue;
      frames += 1;
      const [, code, data] = event.frame as Frame;
      if (code === 'o') text += data;
      const [columns, rows] = code === 'r' ? data.split('x').map(Number) : [];
      if (!columns || !rows) continue;
      // What came before was shown at the size before.
      await write();
      text = '';
      terminal.resize(columns, rows);
    }
    await write();
    if (response.headers.get('stream-up-to-date') === 'true' || signal.aborted) return frames;
    offset = response.headers.get('stream-next-offset') ?? offset;
  }
}
