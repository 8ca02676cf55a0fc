// What can be done with a room as a whole.

import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Archive, ArchiveRestore, BookOpen, Download, Ellipsis, Pencil } from 'lucide-react';
import { useState } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { keys, type Room } from '../api/queries';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Field, inputLook } from '../ui/field';
import { Menu } from '../ui/menu';
import { Rename } from '../ui/rename';
import { cx } from '../ui/cx';

type Change = Schemas['UpdateRoom'];

/** The most standing instructions may hold, in bytes, as the API says. */
const INSTRUCTIONS = 8 * 1024;

export function RoomMenu({ room }: { room: Room }) {
  const [open, setOpen] = useState<'rename' | 'instructions'>();
  const navigate = useNavigate();
  const change = useChange(room);
  const archived = room.archivedAt != null;
  const archive = useAct(
    async (away: boolean) => {
      await change({ archived: away });
      if (away) await navigate({ to: '/' });
    },
    (away) => ({
      said: away ? `${room.name} is archived` : `${room.name} is back`,
      undo: () => change({ archived: !away }),
    }),
  );
  return (
    <>
      <Menu
        trigger={
          <IconButton label="More about this room" size="small" data-key=".">
            <Ellipsis size={16} />
          </IconButton>
        }
        items={[
          { label: 'Standing instructions', icon: <BookOpen size={14} aria-hidden />, act: () => setOpen('instructions') },
          { label: 'Rename', icon: <Pencil size={14} aria-hidden />, act: () => setOpen('rename') },
          {
            label: 'Download as Markdown',
            icon: <Download size={14} aria-hidden />,
            act: () => save(room, 'markdown'),
          },
          {
            label: 'Download as JSON',
            icon: <Download size={14} aria-hidden />,
            act: () => save(room, 'json'),
          },
          {
            label: archived ? 'Bring back' : 'Archive',
            icon: archived ? <ArchiveRestore size={14} aria-hidden /> : <Archive size={14} aria-hidden />,
            act: () => archive(!archived),
          },
        ]}
      />
      <Rename
        open={open === 'rename'}
        onOpenChange={(now) => !now && setOpen(undefined)}
        title="Rename the room"
        name={room.name}
        most={120}
        rename={(name) => change({ name })}
      />
      <Dialog
        open={open === 'instructions'}
        onOpenChange={(now) => !now && setOpen(undefined)}
        wide
        title="Standing instructions"
        about="Every agent of this room is told this with each task, from its next one on."
      >
        <Instructions room={room} close={() => setOpen(undefined)} />
      </Dialog>
    </>
  );
}

/** Changes a room, and everything that shows it. */
function useChange(room: Room): (change: Change) => Promise<void> {
  const queries = useQueryClient();
  return async (change) => {
    const path = { chatroomId: room.chatroomId };
    await unwrap(api.PATCH('/api/chatrooms/{chatroomId}', { params: { path }, body: change }));
    await Promise.all([
      queries.invalidateQueries({ queryKey: keys.room(room.chatroomId) }),
      queries.invalidateQueries({ queryKey: keys.rooms }),
    ]);
  };
}

function Instructions({ room, close }: { room: Room; close: () => void }) {
  const [text, setText] = useState(room.instructions ?? '');
  const change = useChange(room);
  const save = useAct(
    async () => {
      await change({ instructions: text.trim() });
      close();
      return room.instructions ?? '';
    },
    (_, before) => ({ said: 'The instructions are saved', undo: () => change({ instructions: before }) }),
  );
  const left = INSTRUCTIONS - new TextEncoder().encode(text).length;
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <Field
        label="Instructions"
        hint={left < 1024 ? `${left} bytes left` : 'Such as which branch to work on, how to test, and what never to touch.'}
        error={left < 0 && `${-left} bytes too many`}
      >
        {(props) => (
          <textarea
            {...props}
            rows={10}
            value={text}
            onChange={(event) => setText(event.target.value)}
            className={cx(inputLook, 'py-2 font-mono text-sm')}
          />
        )}
      </Field>
      <div className="flex justify-end">
        <Button type="submit" look="main" busy={save.busy} disabled={left < 0}>
          Save
        </Button>
      </div>
    </form>
  );
}

/** Gives the browser the whole history as a file. */
function save(room: Room, format: 'markdown' | 'json'): void {
  const link = document.createElement('a');
  link.href = `/api/chatrooms/${room.chatroomId}/export?format=${format}`;
  link.download = '';
  link.click();
}
