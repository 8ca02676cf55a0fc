// What waits to become a task: said while another was active, and still to be changed by whoever said it.

import { Pencil, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import type { Message, Room } from '../api/queries';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { inputLook } from '../ui/field';
import { cx } from '../ui/cx';

export function Queue({ room, queue, me }: { room: Room; queue: Message[] | undefined; me: string }) {
  if (!queue?.length) return null;
  return (
    <section aria-label="Queue" className="rounded-md border border-line bg-sunken">
      <h2 className="px-3 pt-1.5 text-sm font-medium text-quiet">Queue ({queue.length})</h2>
      <ul className="max-h-[32dvh] overflow-y-auto pb-1">
        {queue.map((message) => (
          <li key={message.messageId} className="px-3 py-0.5">
            <Waiting room={room} message={message} own={message.userId === me} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Waiting({ room, message, own }: { room: Room; message: Message; own: boolean }) {
  const [draft, setDraft] = useState<string>();
  const path = { chatroomId: room.chatroomId, messageId: message.messageId };
  const remove = useAct(
    () => unwrap(api.DELETE('/api/chatrooms/{chatroomId}/messages/{messageId}', { params: { path } })),
    'Taken back',
  );
  const change = useAct(async (content: string) => {
    await unwrap(api.PUT('/api/chatrooms/{chatroomId}/messages/{messageId}', { params: { path }, body: { content } }));
    setDraft(undefined);
  });
  if (draft !== undefined) {
    return (
      <form
        className="flex flex-col gap-2 py-1"
        onSubmit={(event) => {
          event.preventDefault();
          if (draft.trim()) change(draft);
        }}
      >
        <textarea
          autoFocus
          aria-label="Queued message"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => event.key === 'Escape' && setDraft(undefined)}
          className={cx(inputLook, 'field-sizing-content max-h-[24dvh] resize-none py-1.5')}
        />
        <div className="flex justify-end gap-2">
          <Button size="small" onClick={() => setDraft(undefined)}>
            Cancel
          </Button>
          <Button size="small" look="main" type="submit" busy={change.busy} disabled={!draft.trim()}>
            Save
          </Button>
        </div>
      </form>
    );
  }
  return (
    <div className="flex items-center gap-1">
      <span className="grow truncate">{message.content}</span>
      {message.target && <span className="mr-1 text-sm text-quiet">to {message.target}</span>}
      {own && (
        <>
          <IconButton label="Edit" size="small" onClick={() => setDraft(message.content)}>
            <Pencil size={14} />
          </IconButton>
          <IconButton label="Take back" size="small" busy={remove.busy} onClick={() => remove()}>
            <Trash2 size={14} />
          </IconButton>
        </>
      )}
    </div>
  );
}
