import { Slot } from 'radix-ui';
import type { ComponentProps } from 'react';
import { cx } from './cx';

type Look = 'main' | 'plain' | 'quiet' | 'danger';

const LOOKS: Record<Look, string> = {
  main: 'bg-accent text-on-accent border-accent hover:brightness-110',
  plain: 'bg-panel text-ink border-line-strong hover:bg-hover',
  quiet: 'bg-transparent text-quiet border-transparent hover:bg-hover hover:text-ink',
  danger: 'bg-panel text-red border-line-strong hover:bg-red-soft',
};

export interface ButtonProps extends ComponentProps<'button'> {
  look?: Look;
  size?: 'small' | 'normal';
  /** Something was asked and the answer is not there yet. */
  busy?: boolean;
  asChild?: boolean;
}

/** A button, or with `asChild` a link that looks like one. */
export function Button({ look = 'plain', size = 'normal', busy, asChild, className, disabled, ...rest }: ButtonProps) {
  const Tag = asChild ? Slot.Root : 'button';
  return (
    <Tag
      type={asChild ? undefined : 'button'}
      disabled={asChild ? undefined : disabled || busy}
      aria-busy={busy || undefined}
      className={cx(
        'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap',
        'transition-[background-color,filter] duration-[120ms] ease-out disabled:opacity-50 disabled:cursor-default',
        'aria-busy:cursor-progress',
        size === 'small' ? 'h-7 px-2 text-sm pointer-coarse:h-9' : 'h-8 px-3 pointer-coarse:h-10',
        LOOKS[look],
        className,
      )}
      {...rest}
    />
  );
}

/** A button that shows an icon alone: its label is read out, and shown as a tooltip. */
export function IconButton({ label, className, ...rest }: ButtonProps & { label: string }) {
  return (
    <Button
      look="quiet"
      aria-label={label}
      title={label}
      className={cx('!px-0 w-8 pointer-coarse:w-10', className)}
      {...rest}
    />
  );
}
