import { Trash2 } from 'lucide-react';
import { api, unwrap } from '../api/client';
import type { Message, Room } from '../api/queries';
import { useAct } from '../ui/act';
import { IconButton } from '../ui/button';

/** What waits to become a task: said while another was active. */
export function Queue({ room, queue, me }: { room: Room; queue: Message[] | undefined; me: string }) {
  const remove = useAct(
    (messageId: string) =>
      unwrap(
        api.DELETE('/api/chatrooms/{chatroomId}/messages/{messageId}', {
          params: { path: { chatroomId: room.chatroomId, messageId } },
        }),
      ),
    'Taken back',
  );
  if (!queue?.length) return null;
  return (
    <section aria-label="Queue" className="rounded-md border border-line bg-sunken">
      <h2 className="px-3 pt-1.5 text-sm font-medium text-quiet">Queue ({queue.length})</h2>
      <ul className="max-h-[24dvh] overflow-y-auto pb-1">
        {queue.map((message) => (
          <li key={message.messageId} className="flex items-center gap-2 px-3 py-0.5">
            <span className="grow truncate">{message.content}</span>
            {message.target && <span className="text-sm text-quiet">to {message.target}</span>}
            {message.userId === me && (
              <IconButton
                label="Take back"
                size="small"
                busy={remove.with === message.messageId}
                onClick={() => remove(message.messageId)}
              >
                <Trash2 size={14} />
              </IconButton>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
