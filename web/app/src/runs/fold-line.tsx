import { ChevronRight, OctagonX } from 'lucide-react';
import type { ReactNode } from 'react';
import { cx } from '../ui/cx';

interface FoldLineProps {
  isOpen: boolean;
  onClick: () => void;
  label: ReactNode;
  about: ReactNode;
  end?: ReactNode;
  dim?: boolean;
  children: ReactNode;
}

/** A line that opens and closes what is under it. */
export function FoldLine({ isOpen, onClick, label, about, end, dim, children }: FoldLineProps) {
  return (
    <>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={onClick}
        className={cx(
          'flex min-h-6 w-full items-center gap-2 rounded-sm text-left hover:bg-hover pointer-coarse:min-h-10',
          dim && 'text-quiet',
        )}
      >
        <ChevronRight
          size={14}
          aria-hidden
          className={cx('shrink-0 text-faint', isOpen && 'rotate-90')}
        />
        <span className="shrink-0 font-medium">{label}</span>
        <span className="min-w-0 grow truncate font-mono text-sm text-quiet">{about}</span>
        {end}
      </button>
      {isOpen && children}
    </>
  );
}

export function Failed() {
  return (
    <span className="inline-flex shrink-0 items-center gap-1 text-sm font-medium text-red">
      <OctagonX size={14} aria-hidden />
      Failed
    </span>
  );
}
