import { useSyncExternalStore } from 'react';

// One clock for all times on the page; it ticks only while somebody looks.
let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const tell of listeners) tell();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

export function ago(then: number, at: number): string {
  const seconds = Math.max(0, Math.floor((at - then) / 1000));
  if (seconds < 5) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  return days === 1 ? '1 day ago' : `${days} days ago`;
}

/** How long something took, short: `0.1 s`, `18.4 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 0) return '0.0 s';
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor((ms % 60_000) / 1000);
  if (minutes < 60) return seconds === 0 ? `${minutes} min` : `${minutes} min ${seconds} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** When something was, as far back as that is: the exact time is its tooltip. */
export function Ago({ at, className }: { at: number; className?: string }) {
  const current = useNow();
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={exact.format(date)} className={className}>
      {ago(at, current)}
    </time>
  );
}

/** The time of day, for lists that are read in order. */
export function Clock({ at, className }: { at: number; className?: string }) {
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={exact.format(date)} className={className}>
      {clock.format(date)}
    </time>
  );
}
