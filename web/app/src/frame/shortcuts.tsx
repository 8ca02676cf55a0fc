// The keyboard: what works everywhere is here, what works on a page is with the page.

import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { Dialog } from '../ui/dialog';
import { openPalette } from './palette';

export interface Shortcut {
  keys: string;
  does: string;
}

const HELP: { about: string; shortcuts: Shortcut[] }[] = [
  {
    about: 'Everywhere',
    shortcuts: [
      { keys: 'Ctrl K', does: 'Search and actions' },
      { keys: 'g r', does: 'Go to rooms' },
      { keys: 'g m', does: 'Go to machines' },
      { keys: 'g a', does: 'Go to activity' },
      { keys: '?', does: 'This list' },
      { keys: 'Esc', does: 'Close, or go back' },
    ],
  },
  {
    about: 'In a list or a transcript',
    shortcuts: [
      { keys: 'j  k', does: 'Next, previous' },
      { keys: 'Enter', does: 'Open' },
    ],
  },
  {
    about: 'In a run',
    shortcuts: [
      { keys: 'a', does: 'Allow what the agent asks' },
      { keys: 'd', does: 'Deny it' },
      { keys: 'i', does: 'Interrupt the turn' },
      { keys: '/', does: 'Search the transcript' },
      { keys: 'G', does: 'Jump to the end and follow' },
    ],
  },
];

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

/** Calls for single keys while nobody types. The calls may change from one drawing to the next. */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (isTyping(event) || event.defaultPrevented) return;
      const call = latest.current[event.key];
      if (!call) return;
      event.preventDefault();
      call(event);
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  }, []);
}

export function useGlobalShortcuts() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const went = useRef(0);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        openPalette();
        return;
      }
      if (isTyping(event)) return;
      if (event.key === '?') return setOpen(true);
      if (event.key === 'g') {
        went.current = event.timeStamp;
        return;
      }
      // The second key of two belongs to the first for a second.
      if (event.timeStamp - went.current > 1000) return;
      went.current = 0;
      const to = { r: '/', m: '/machines', a: '/activity' }[event.key];
      if (!to) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      void navigate({ to });
    };
    window.addEventListener('keydown', press, true);
    return () => window.removeEventListener('keydown', press, true);
  }, [navigate]);
  return { open, onOpenChange: setOpen };
}

export function ShortcutHelp({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard">
      {HELP.map(({ about, shortcuts }) => (
        <section key={about}>
          <h3 className="mb-1 text-sm font-medium text-quiet">{about}</h3>
          <dl className="grid grid-cols-[96px_1fr] gap-y-1">
            {shortcuts.map(({ keys, does }) => (
              <div key={keys} className="contents">
                <dt>
                  <kbd className="rounded-sm border border-line-strong px-1 font-mono text-sm">{keys}</kbd>
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
