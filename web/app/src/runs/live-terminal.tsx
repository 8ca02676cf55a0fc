import { FitAddon } from '@xterm/addon-fit';
import { Keyboard } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import type { Run } from '../api/queries';
import { Button } from '../ui/button';
import { TerminalLink, type Joined, type Size } from './terminal-link';
import { followTheme, makeTerminal } from './xterm';

/** Bytes that xterm tells one character each. */
const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** The terminal an agent runs in, to watch and to type into. */
export function LiveTerminal({ run }: { run: Run }) {
  const place = useRef<HTMLDivElement>(null);
  const link = useRef<TerminalLink>(undefined);
  const focus = useRef(() => {});
  const [joined, setJoined] = useState<Joined>({ state: 'joining', typing: false, typed: false });
  useEffect(() => {
    let end = () => {};
    let isOver = false;
    void makeTerminal({ scrollback: 5000, readOnly: false }).then((terminal) => {
      const element = place.current;
      if (isOver || !element) return terminal.dispose();
      const fit = new FitAddon();
      terminal.loadAddon(fit);
      terminal.open(element);
      const room = (): Size => {
        const found = fit.proposeDimensions();
        return { columns: Math.max(2, found?.cols ?? 80), rows: Math.max(1, found?.rows ?? 24) };
      };
      const opened = new TerminalLink(run.runId, {
        write: (bytes) => terminal.write(bytes),
        room,
        resize: ({ columns, rows }) => terminal.resize(columns, rows),
        onChange: (now) => {
          terminal.options.disableStdin = !now.typing;
          setJoined(now);
        },
      });
      link.current = opened;
      focus.current = () => terminal.focus();
      const coder = new TextEncoder();
      terminal.onData((text) => opened.type(coder.encode(text)));
      terminal.onBinary((text) => opened.type(bytesOf(text)));
      const watcher = new ResizeObserver(() => {
        // Whoever only watches sees the size of whoever types.
        if (terminal.options.disableStdin) return;
        const size = room();
        if (size.columns === terminal.cols && size.rows === terminal.rows) return;
        terminal.resize(size.columns, size.rows);
        opened.resized(size);
      });
      watcher.observe(element);
      const endTheme = followTheme(terminal);
      terminal.focus();
      void opened.stay();
      end = () => {
        watcher.disconnect();
        endTheme();
        opened.close();
        terminal.dispose();
      };
    });
    return () => {
      isOver = true;
      end();
    };
  }, [run.runId]);
  useEffect(() => {
    if (run.exitedAt != null) link.current?.over();
  }, [run.exitedAt]);
  return (
    <div className="flex min-h-0 grow flex-col bg-sunken">
      <State
        joined={joined}
        take={() => {
          link.current?.take();
          focus.current();
        }}
      />
      <div className="min-h-0 grow overflow-auto p-2">
        <div ref={place} aria-label={`Terminal of ${run.role}`} role="group" className="h-full" />
      </div>
    </div>
  );
}

function State({ joined, take }: { joined: Joined; take: () => void }) {
  // It is always there, so that the terminal keeps its size.
  return (
    <div role="status" className="flex min-h-9 items-center gap-3 border-b border-line bg-panel px-3 py-1 text-quiet md:px-4">
      {joined.state === 'joining' && <p>Joining the terminal…</p>}
      {joined.state === 'lost' && <p className="text-amber">Not connected: {joined.reason}. Joining again…</p>}
      {joined.state === 'ended' && <p>The program ended. This is what it showed last.</p>}
      {joined.state === 'joined' && joined.typing && <p>You type here.</p>}
      {joined.state === 'joined' && !joined.typing && (
        <>
          <p className="grow">{joined.typed ? 'Somebody else types here. You watch.' : 'Nobody types here. You watch.'}</p>
          <Button size="small" onClick={take}>
            <Keyboard size={14} aria-hidden />
            {joined.typed ? 'Take over' : 'Type here'}
          </Button>
        </>
      )}
    </div>
  );
}
