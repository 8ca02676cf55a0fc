// What waits to become a task: said while another was active, and still to be changed by whoever said it.

import { Pencil, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import type { Message, Room } from '../api/queries';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { inputLook } from '../ui/field';
import { cx } from '../ui/cx';
import { addressOf, upload } from './attach';

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
  const remove = useAct(() => takeBack(room, message), (_, again) => ({ said: 'The message is taken back', undo: again }));
  const put = (content: string) =>
    unwrap(api.PUT('/api/chatrooms/{chatroomId}/messages/{messageId}', { params: { path }, body: { content } }));
  const change = useAct(
    async (content: string) => {
      await put(content);
      setDraft(undefined);
      return message.content;
    },
    (_, before) => ({ said: 'The message is changed', undo: () => put(before) }),
  );
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

/** Takes a message out of the queue. Returns how to say it again, at the queue's end: its files are kept for that. */
async function takeBack({ chatroomId }: Room, { messageId, content, target, attachments = [] }: Message) {
  const files = await Promise.all(
    attachments.map(async (one) => new File([await (await fetch(addressOf(chatroomId, one))).blob()], one.name)),
  );
  await unwrap(api.DELETE('/api/chatrooms/{chatroomId}/messages/{messageId}', { params: { path: { chatroomId, messageId } } }));
  return async () => {
    const sent = await Promise.all(files.map((file) => upload(chatroomId, file)));
    const body = { content, targetRole: target ?? null, attachments: sent.map((one) => one.attachmentId) };
    await unwrap(api.POST('/api/chatrooms/{chatroomId}/messages', { params: { path: { chatroomId } }, body }));
  };
}
