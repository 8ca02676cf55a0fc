import { useRouter } from '@tanstack/react-router';
import { memo } from 'react';
import type { RoomEntry } from '../api/queries';
import { cx } from '../ui/cx';
import { RoomMark } from './mark';

/** A room in a list of all: a link as the browser knows it, for many of the router's own would be most of a scroll. */
export const RoomLink = memo(function RoomLink({ room, isOpen }: { room: RoomEntry; isOpen: boolean }) {
  const router = useRouter();
  const place = { to: '/rooms/$roomId', params: { roomId: room.chatroomId } } as const;
  return (
    <a
      href={`/rooms/${room.chatroomId}`}
      aria-current={isOpen ? 'page' : undefined}
      onPointerEnter={() => void router.preloadRoute(place)}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        void router.navigate(place);
      }}
      className={cx(
        'flex h-8 items-center gap-2 rounded-md px-2 hover:bg-hover pointer-coarse:h-11',
        isOpen && 'bg-hover font-medium',
      )}
    >
      <RoomMark room={room} />
      <span className={cx('grow truncate', room.unread > 0 && 'font-semibold')}>{room.name}</span>
      {room.unread > 0 && (
        <span className="text-sm text-quiet" title={`${room.unread} unread`}>
          {room.unread > 99 ? '99+' : room.unread}
        </span>
      )}
    </a>
  );
});
