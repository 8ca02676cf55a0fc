// Telling a person who looks elsewhere: only that an agent needs them, gave up, or handed to them.

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { rooms } from '../api/queries';
import { isNotifier, watchFeed, type FeedEvent } from './feed';

/** Returns what an event is worth telling, or nothing. */
export function worthTelling(event: FeedEvent): string | undefined {
  const who = event.role ?? 'An agent';
  switch (event.kind) {
    case 'permission.asked':
      return `${who} needs you: ${event.outcome ?? 'it asks before it goes on'}`;
    case 'agent.gave-up':
      return `${who} gave up${event.outcome ? `: ${event.outcome}` : ''}`;
    case 'message.sent':
      return event.role && event.outcome === 'user' ? `${who} handed to you` : undefined;
    default:
      return undefined;
  }
}

export const notifiesNow = () => typeof Notification !== 'undefined' && Notification.permission === 'granted';

/** Shows notifications, from one tab of all, and counts in the title what came while nobody looked. */
export function useNotifications(): void {
  const { data } = useQuery(rooms);
  const navigate = useNavigate();
  const latest = useRef({ data, navigate });
  latest.current = { data, navigate };
  useEffect(() => {
    let missed = 0;
    const title = document.title;
    const seen = () => {
      if (document.visibilityState !== 'visible') return;
      missed = 0;
      document.title = title;
    };
    const unwatch = watchFeed((event) => {
      const text = worthTelling(event);
      if (!text || document.visibilityState === 'visible') return;
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
    });
    document.addEventListener('visibilitychange', seen);
    return () => {
      unwatch();
      document.removeEventListener('visibilitychange', seen);
    };
  }, []);
}
