// The history of a room as far as it was read: the latest messages, which the feed keeps fresh, behind the earlier ones.

import { useInfiniteQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { earlier, type Message } from '../api/queries';

/**
 * Puts the latest messages behind those held. The window of the latest moves on as more is said, so what slides out
 * of it is kept; where it moved past what was held, only the latest are certain to follow one another.
 */
export function behind(held: Message[], latest: Message[]): Message[] {
  const first = latest[0];
  if (!first) return held.length === 0 ? held : latest;
  const at = held.findIndex((message) => message.messageId === first.messageId);
  return at < 0 ? latest : [...held.slice(0, at), ...latest];
}

export function useHistory(roomId: string, latest: Message[] | undefined) {
  const held = useRef<Message[]>([]);
  if (latest) held.current = behind(held.current, latest);
  // Pages of the past are read from the first message there was when somebody first asked.
  const [before, setBefore] = useState<string>();
  const past = useInfiniteQuery({ ...earlier(roomId, before ?? ''), enabled: before !== undefined });
  const pages = past.data?.pages.toReversed().flatMap((page) => page.messages) ?? [];
  const first = held.current[0];
  // A history that jumped ahead no longer joins those pages.
  const joins = before === undefined || held.current.some((message) => message.messageId === before);
  return {
    messages: joins ? [...pages, ...held.current] : held.current,
    more: before === undefined || !joins ? held.current.length >= 100 : past.hasNextPage,
    loading: past.isFetching,
    error: past.error,
    load: () => {
      if (before === undefined || !joins) setBefore(first?.messageId);
      else void past.fetchNextPage();
    },
  };
}
