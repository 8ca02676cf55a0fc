import { X } from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import { useState, type ReactNode } from 'react';
import { Button, IconButton } from './button';
import { cx } from './cx';
import { TextField } from './field';
import { Problem } from './problem';

interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: ReactNode;
  about?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

/** A window over the page. Escape and the cross close it, and focus goes back to where it was. */
export function Dialog({ open, onOpenChange, title, about, wide, children }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-[#0008]" />
        <Radix.Content
          {...(about ? {} : { 'aria-describedby': undefined })}
          className={cx(
            'fixed z-50 flex max-h-[calc(100dvh-32px)] w-[calc(100vw-16px)] flex-col gap-3 overflow-y-auto border border-line bg-panel p-4',
            'max-sm:bottom-0 max-sm:left-2 max-sm:rounded-t-md sm:top-1/2 sm:left-1/2 sm:-translate-1/2 sm:rounded-md',
            'sm:shadow-[0_16px_48px_#0003]',
            wide ? 'sm:w-[640px]' : 'sm:w-[440px]',
          )}
        >
          <div className="flex items-start gap-2">
            <div className="grow">
              <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
              {about && <Radix.Description className="text-quiet">{about}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              <IconButton label="Close" size="small">
                <X size={16} />
              </IconButton>
            </Radix.Close>
          </div>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  /** What follows from it. */
  about: ReactNode;
  verb: string;
  /** What must be typed first, where it cannot be undone. */
  typed?: string;
  act: () => Promise<unknown>;
}

/** Asks before something that cannot be undone, or reaches far. */
export function Confirm({ open, onOpenChange, title, about, verb, typed, act }: ConfirmProps) {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const close = (next: boolean) => {
    onOpenChange(next);
    setText('');
    setError(undefined);
  };
  return (
    <Dialog open={open} onOpenChange={close} title={title} about={about}>
      <form
        className="flex flex-col gap-3"
        onSubmit={async (event) => {
          event.preventDefault();
          setBusy(true);
          try {
            await act();
            close(false);
          } catch (failed) {
            setError(failed);
          } finally {
            setBusy(false);
          }
        }}
      >
        {typed !== undefined && (
          <TextField
            label={`Type “${typed}” to confirm`}
            value={text}
            autoFocus
            autoComplete="off"
            onChange={(event) => setText(event.target.value)}
          />
        )}
        {error !== undefined && <Problem error={error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={() => close(false)}>Cancel</Button>
          <Button type="submit" look="danger" busy={busy} disabled={typed !== undefined && text !== typed}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
