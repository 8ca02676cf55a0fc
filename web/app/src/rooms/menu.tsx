import { Download, Ellipsis } from 'lucide-react';
import { api, unwrap } from '../api/client';
import type { Message, Room } from '../api/queries';
import { tell } from '../ui/act';
import { IconButton } from '../ui/button';
import { Menu } from '../ui/menu';

/** What can be done with a room as a whole. */
export function RoomMenu({ room }: { room: Room }) {
  return (
    <Menu
      trigger={
        <IconButton label="More about this room" size="small">
          <Ellipsis size={16} />
        </IconButton>
      }
      items={[
        {
          label: 'Download as Markdown',
          icon: <Download size={14} aria-hidden />,
          act: () => void save(room, 'md').catch(tell),
        },
        {
          label: 'Download as JSON',
          icon: <Download size={14} aria-hidden />,
          act: () => void save(room, 'json').catch(tell),
        },
      ]}
    />
  );
}

/** Reads the whole history, page by page, and gives it to the browser as a file. */
async function save(room: Room, kind: 'md' | 'json'): Promise<void> {
  const all: Message[] = [];
  let before: string | undefined;
  for (;;) {
    const query = before === undefined ? { limit: 500 } : { limit: 500, beforeMessageId: before };
    const page = await unwrap(
      api.GET('/api/chatrooms/{chatroomId}/messages', { params: { path: { chatroomId: room.chatroomId }, query } }),
    );
    all.unshift(...page.messages);
    before = page.messages[0]?.messageId;
    if (page.messages.length < 500 || before === undefined) break;
  }
  const text = kind === 'json' ? JSON.stringify({ room, messages: all }, null, 2) : markdown(room, all);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: kind === 'json' ? 'application/json' : 'text/markdown' }));
  link.download = `${room.name.replace(/[^\p{L}\p{N}_-]+/gu, '-')}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function markdown(room: Room, all: Message[]): string {
  const said = all.map((message) => {
    const target = message.target ? ` → ${message.target}` : '';
    return `## ${message.sender}${target} · ${new Date(message.createdAt).toISOString()}\n\n${message.content}\n`;
  });
  return [`# ${room.name}\n`, ...said].join('\n');
}
