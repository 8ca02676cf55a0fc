// The keys that work everywhere, and the list of all that work now.

import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { Dialog } from '../ui/dialog';
import { shortcutsNow, useKeys } from './keys';
import { openPalette } from './palette';

/** First in the frame, so that what is nearer comes before it. */
export function Shortcuts() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const go = (to: '/' | '/machines' | '/activity') => () => void navigate({ to });
  useKeys('Everywhere', {
    'g r': { does: 'Go to rooms', call: go('/') },
    'g m': { does: 'Go to machines', call: go('/machines') },
    'g a': { does: 'Go to activity', call: go('/activity') },
    'Ctrl K': { does: 'Search and actions' },
    '?': { does: 'This list', call: () => setOpen(true) },
    Escape: { does: 'Close what is open' },
  });
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'k') return;
      event.preventDefault();
      openPalette();
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  }, []);
  return <Help open={open} onOpenChange={setOpen} />;
}

const NAMES: Record<string, string> = { Escape: 'Esc', 'Ctrl K': navigator.platform.startsWith('Mac') ? '⌘K' : 'Ctrl K' };

function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard">
      {open &&
        shortcutsNow().map(({ about, keys }) => (
          <section key={about}>
            <h3 className="mb-1 text-sm font-medium text-quiet">{about}</h3>
            <dl className="grid grid-cols-[96px_1fr] gap-y-1">
              {keys.map(([key, does]) => (
                <div key={key} className="contents">
                  <dt>
                    <kbd className="rounded-sm border border-line-strong px-1 font-mono text-sm">{NAMES[key] ?? key}</kbd>
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
