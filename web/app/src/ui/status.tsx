// The status words: the server says the word, this draws it. Shape and word always, colour never alone.

import type { Schemas } from '../api/client';
import { cx } from './cx';

export type Status = Schemas['AgentStatus'];

const LOOKS: Record<string, { label: string; colour: string; moves?: boolean }> = {
  offline: { label: 'Offline', colour: 'text-faint' },
  stopped: { label: 'Stopped', colour: 'text-quiet' },
  starting: { label: 'Starting', colour: 'text-quiet', moves: true },
  waiting: { label: 'Waiting', colour: 'text-blue' },
  working: { label: 'Working', colour: 'text-accent', moves: true },
  'needs-you': { label: 'Needs you', colour: 'text-amber' },
  'awaiting-handoff': { label: 'Awaiting handoff', colour: 'text-violet' },
  stopping: { label: 'Stopping', colour: 'text-quiet', moves: true },
  'gave-up': { label: 'Gave up', colour: 'text-red' },
};

const look = (status: Status) => LOOKS[status] ?? { label: 'Unknown', colour: 'text-faint' };

export const statusLabel = (status: Status) => look(status).label;

/** The mark alone, for places where the word stands beside it or is read out. */
export function StatusMark({ status, className }: { status: Status; className?: string }) {
  const { colour, moves } = look(status);
  const stroke = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.6 };
  return (
    <svg
      width="12"
      height="12"
      viewBox="0 0 12 12"
      aria-hidden
      className={cx('shrink-0', colour, moves && 'animate-[pulse-slow_2.4s_ease-in-out_infinite]', className)}
    >
      {status === 'offline' && <circle cx="6" cy="6" r="4.2" {...stroke} strokeDasharray="2 1.6" />}
      {status === 'stopped' && <circle cx="6" cy="6" r="4.2" {...stroke} />}
      {(status === 'starting' || status === 'stopping') && (
        <path d="M6 1.8a4.2 4.2 0 1 1-4.2 4.2" {...stroke} strokeLinecap="round" />
      )}
      {status === 'waiting' && (
        <>
          <circle cx="6" cy="6" r="4.2" {...stroke} />
          <path d="M6 6V1.8A4.2 4.2 0 0 1 10.2 6z" fill="currentColor" />
        </>
      )}
      {status === 'working' && (
        <>
          <circle cx="6" cy="6" r="4.2" {...stroke} />
          <path d="M6 1.8a4.2 4.2 0 0 0 0 8.4z" fill="currentColor" />
        </>
      )}
      {status === 'needs-you' && <path d="M6 .8 11.2 6 6 11.2.8 6z" fill="currentColor" />}
      {status === 'awaiting-handoff' && (
        <>
          <circle cx="6" cy="6" r="4.2" {...stroke} />
          <path d="M6 1.8a4.2 4.2 0 0 1 0 8.4z" fill="currentColor" />
        </>
      )}
      {status === 'gave-up' && <path d="m2.4 2.4 7.2 7.2m0-7.2-7.2 7.2" {...stroke} strokeWidth={2} strokeLinecap="round" />}
      {!(status in LOOKS) && <circle cx="6" cy="6" r="2" fill="currentColor" />}
    </svg>
  );
}

/** Mark and word. */
export function StatusWord({ status, className }: { status: Status; className?: string }) {
  return (
    <span className={cx('inline-flex items-center gap-1.5 font-medium', look(status).colour, className)}>
      <StatusMark status={status} />
      {statusLabel(status)}
    </span>
  );
}

/** Whether a machine can be reached. */
export function OnlineDot({ online }: { online: boolean }) {
  return (
    <span className={cx('inline-flex items-center gap-1.5', online ? 'text-accent' : 'text-faint')}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden className="shrink-0">
        {online ? (
          <circle cx="5" cy="5" r="4" fill="currentColor" />
        ) : (
          <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" strokeWidth="1.4" />
        )}
      </svg>
      {online ? 'Online' : 'Offline'}
    </span>
  );
}
