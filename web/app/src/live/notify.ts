// Telling a person who looks elsewhere: only that an agent of theirs needs them or gave up, or that one handed to them.

import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { agents, messages, rooms } from '../api/queries';
import { isNotifier, watchFeed, type FeedEvent } from './feed';
import { holdSeen, isSeen } from './seen';

/**
 * Returns what an event is worth telling, or nothing. An event says only that something happened: whether it is for the
 * reader, and still so, the room says.
 */
async function worthTelling(client: QueryClient, event: FeedEvent): Promise<string | undefined> {
  const { chatroomId, role, subject } = event;
  if (!chatroomId || !role) return undefined;
  const agent = async () => {
    const found = await client.fetchQuery({ ...agents(chatroomId), staleTime: 0 });
    return found.agents.find((known) => known.role === role);
  };
  switch (event.kind) {
    case 'permission.asked': {
      const asked = (await agent())?.permissions.find((permission) => permission.permissionId === subject);
      return asked && `${role} needs you: ${asked.title}`;
    }
    case 'agent.gave-up': {
      const found = await agent();
      // Only whoever's agent it is has configurations of it.
      return found?.status === 'gave-up' && found.configs.length > 0
        ? [`${role} gave up`, found.reason].filter(Boolean).join(': ')
        : undefined;
    }
    case 'message.sent': {
      if (event.outcome !== 'user') return undefined;
      const found = await client.fetchQuery({ ...messages(chatroomId), staleTime: 0 });
      const said = found.messages.find((message) => message.messageId === subject);
      return said?.kind === 'handoff' ? `${role} handed to you: ${said.content.slice(0, 200)}` : undefined;
    }
    default:
      return undefined;
  }
}

export const notifiesNow = () => typeof Notification !== 'undefined' && Notification.permission === 'granted';

/** Shows notifications, from one tab of all, and counts in the title what came while nobody looked. */
export function useNotifications(): void {
  const { data } = useQuery(rooms);
  const client = useQueryClient();
  const navigate = useNavigate();
  const latest = useRef({ data, navigate });
  latest.current = { data, navigate };
  useEffect(() => {
    let missed = 0;
    const title = document.title;
    const look = () => {
      if (document.visibilityState !== 'visible') return;
      missed = 0;
      document.title = title;
    };
    const tell = async (event: FeedEvent) => {
      if (await isSeen()) return;
      const text = await worthTelling(client, event).catch(() => undefined);
      if (!text || (await isSeen())) return;
      missed += 1;
      document.title = `(${missed}) ${title}`;
      if (!isNotifier() || !notifiesNow()) return;
      const room = latest.current.data?.find((known) => known.chatroomId === event.chatroomId);
      const shown = new Notification(room?.name ?? 'chatroom', { body: text, tag: `${event.chatroomId}/${event.role}` });
      shown.onclick = () => {
        window.focus();
        shown.close();
        if (room) void latest.current.navigate({ to: '/rooms/$roomId', params: { roomId: room.chatroomId } });
      };
    };
    const unwatch = watchFeed((event) => void tell(event));
    const letGo = holdSeen();
    document.addEventListener('visibilitychange', look);
    return () => {
      unwatch();
      letGo();
      document.removeEventListener('visibilitychange', look);
    };
  }, [client]);
}
