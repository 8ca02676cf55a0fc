import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { TextField } from '../ui/field';
import { Problem } from '../ui/problem';

const ROLE = /^[A-Za-z][A-Za-z0-9_-]{0,39}$/;

export function CreateRoom({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="New room"
      about="A room is a team: each role in it is an agent that takes tasks and hands them on."
    >
      <Form close={() => onOpenChange(false)} />
    </Dialog>
  );
}

function Form({ close }: { close: () => void }) {
  const navigate = useNavigate();
  const [name, setName] = useState('');
  const [roles, setRoles] = useState('builder, reviewer');
  const parsed = roles
    .split(/[\s,]+/)
    .map((role) => role.trim())
    .filter(Boolean);
  const bad = parsed.find((role) => !ROLE.test(role));
  const create = useMutation({
    mutationFn: () => unwrap(api.POST('/api/chatrooms', { body: { name: name.trim(), roles: parsed } })),
    onSuccess: async (room) => {
      close();
      await navigate({ to: '/rooms/$roomId', params: { roomId: room.chatroomId } });
    },
  });
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        if (!bad && parsed.length > 0) create.mutate();
      }}
    >
      <TextField label="Name" autoFocus required maxLength={120} value={name} onChange={(event) => setName(event.target.value)} />
      <TextField
        label="Roles"
        hint={parsed[0] ? `Your messages go to ${parsed[0]} first.` : 'At least one.'}
        error={bad && `“${bad}” is no name for a role: 1 to 40 letters, digits, - or _, a letter first.`}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        value={roles}
        onChange={(event) => setRoles(event.target.value)}
      />
      {create.isError && <Problem error={create.error} />}
      <div className="flex justify-end">
        <Button type="submit" look="main" busy={create.isPending} disabled={!name.trim() || parsed.length === 0 || Boolean(bad)}>
          Make the room
        </Button>
      </div>
    </form>
  );
}
