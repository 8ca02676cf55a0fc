import { Check, Copy as CopyIcon } from 'lucide-react';
import { useEffect, useState } from 'react';
import { cx } from './cx';

/** Remembers for a moment that something was copied. */
function useCopy(text: string) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return { copied, copy: () => void navigator.clipboard.writeText(text).then(() => setCopied(true)) };
}

/** Shows the ends of the ids in a text, by which they are told apart. */
export const shortIds = (text: string) => text.replace(/\b([a-z]{2,5}_)[0-9A-HJKMNP-TV-Z]{20}([0-9A-HJKMNP-TV-Z]{6})\b/g, '$1…$2');

/** A short text, such as an id, that is copied by a click. */
export function Copy({ text, shown }: { text: string; shown?: string }) {
  const { copied, copy } = useCopy(text);
  return (
    <button
      type="button"
      title={`Copy ${text}`}
      onClick={copy}
      className="inline-flex items-center gap-1 rounded-sm text-left font-mono text-sm text-quiet hover:text-ink"
    >
      {shown ?? text}
      {copied ? <Check size={12} aria-label="Copied" /> : <CopyIcon size={12} aria-hidden />}
    </button>
  );
}

/** Commands to run in a terminal, copied as a whole. */
export function Commands({ lines, className }: { lines: string; className?: string }) {
  const { copied, copy } = useCopy(lines);
  return (
    <div className={cx('flex items-start gap-2 rounded-md border border-line bg-sunken py-2 pr-2 pl-3', className)}>
      <pre className="grow overflow-x-auto font-mono text-sm leading-6 whitespace-pre-wrap select-all">{lines}</pre>
      <button
        type="button"
        onClick={copy}
        className="inline-flex h-6 shrink-0 items-center gap-1 rounded-sm px-1.5 text-sm text-quiet hover:bg-hover hover:text-ink pointer-coarse:h-9"
      >
        {copied ? <Check size={14} aria-hidden /> : <CopyIcon size={14} aria-hidden />}
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
