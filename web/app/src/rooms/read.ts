// Where a person has read up to, the same in all their tabs.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { api, unwrap } from '../api/client';
import { rooms, type Message } from '../api/queries';

/** Says that everything up to the last message was read, once it is on screen in a tab somebody looks at. */
export function useMarkRead(roomId: string, last: Message | undefined, atEnd: boolean): void {
  const queries = useQueryClient();
  const marked = useRef<string>(undefined);
  const messageId = last?.messageId;
  useEffect(() => {
    const look = () => {
      if (!messageId || !atEnd || messageId === marked.current || document.visibilityState !== 'visible') return;
      marked.current = messageId;
      queries.setQueryData(rooms.queryKey, (known) =>
        known?.map((room) => (room.chatroomId === roomId ? { ...room, unread: 0 } : room)),
      );
      const path = { chatroomId: roomId };
      void unwrap(api.PUT('/api/chatrooms/{chatroomId}/read', { params: { path }, body: { messageId } })).catch(() => {
        // The next message, or the next visit, says it again.
        marked.current = undefined;
      });
    };
    look();
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, [queries, roomId, messageId, atEnd]);
}
