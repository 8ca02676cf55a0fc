import type { ReactNode } from 'react';
import { cx } from './cx';

/** The shape of what comes, while it is on its way. */
export function Skeleton({ rows = 3, className }: { rows?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className={cx('flex flex-col gap-2 p-4', className)}>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="h-4 animate-[pulse-slow_2s_infinite] rounded-md bg-hover" style={{ width: `${90 - ((row * 23) % 45)}%` }} />
      ))}
    </div>
  );
}

/** Nothing is here yet: says so, and the one next step. */
export function Empty({ title, top, children }: { title: string; top?: boolean; children?: ReactNode }) {
  const Heading = top ? 'h1' : 'h2';
  return (
    <div className="mx-auto flex w-full max-w-[480px] flex-col gap-3 p-6">
      <Heading className="text-lg font-semibold">{title}</Heading>
      {children}
    </div>
  );
}
