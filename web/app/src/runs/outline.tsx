// The turns of a run, to jump between them.

import { cx } from '../ui/cx';
import { duration } from '../ui/time';
import { whoFrom } from './entry';
import type { Turn } from './fold';

interface OutlineProps {
  turns: readonly Turn[];
  isWhole: boolean;
  /** The number of the turn at the top of the screen. */
  current: number;
  goTo: (seq: number) => void;
}

export function Outline({ turns, isWhole, current, goTo }: OutlineProps) {
  return (
    <nav aria-label="Turns" className="hidden w-64 shrink-0 overflow-y-auto border-l border-line py-2 xl:block">
      <h2 className="px-3 pb-1 text-sm font-medium text-quiet">Turns</h2>
      {!isWhole && (
        <button
          type="button"
          onClick={() => goTo(1)}
          className="w-full px-3 py-1 text-left text-sm text-accent hover:bg-hover"
        >
          Go to the beginning
        </button>
      )}
      {turns.length === 0 && <p className="px-3 text-quiet">None yet.</p>}
      <ol>
        {turns.map((turn) => (
          <li key={turn.promptId}>
            <button
              type="button"
              aria-current={turn.seq === current || undefined}
              onClick={() => goTo(turn.seq)}
              className={cx(
                'flex w-full flex-col border-l-2 px-3 py-1 text-left hover:bg-hover',
                turn.seq === current ? 'border-accent bg-hover' : 'border-transparent',
              )}
            >
              <span className="line-clamp-2">{turn.title || whoFrom(turn)}</span>
              <span className={cx('text-sm', turn.outcome === 'error' ? 'text-red' : 'text-quiet')}>{became(turn)}</span>
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function became({ at, endedAt, outcome }: Turn): string {
  const took = endedAt === undefined ? '' : ` · ${duration(endedAt - at)}`;
  switch (outcome) {
    case 'interrupted':
      return `Interrupted${took}`;
    case 'error':
      return `Failed${took}`;
    case 'end':
      return `Ended${took}`;
    default:
      return 'Not ended';
  }
}
