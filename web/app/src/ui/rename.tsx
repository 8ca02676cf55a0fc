import { useState } from 'react';
import { useAct } from './act';
import { Button } from './button';
import { Dialog } from './dialog';
import { TextField } from './field';

interface RenameProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  name: string;
  /** In characters. */
  most: number;
  rename: (name: string) => Promise<unknown>;
}

/** Asks for another name of something. */
export function Rename({ open, onOpenChange, title, ...form }: RenameProps) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={title}>
      <Form {...form} close={() => onOpenChange(false)} />
    </Dialog>
  );
}

function Form({ name, most, rename, close }: Pick<RenameProps, 'name' | 'most' | 'rename'> & { close: () => void }) {
  const [text, setText] = useState(name);
  const act = useAct(
    async () => {
      await rename(text.trim());
      close();
      return name;
    },
    (_, before) => ({ said: `It is called ${text.trim()} now`, undo: () => rename(before) }),
  );
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        act();
      }}
    >
      <TextField label="Name" autoFocus required maxLength={most} value={text} onChange={(event) => setText(event.target.value)} />
      <div className="flex justify-end">
        <Button type="submit" look="main" busy={act.busy} disabled={!text.trim()}>
          Rename
        </Button>
      </div>
    </form>
  );
}
