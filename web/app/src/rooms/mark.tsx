import { Hash } from 'lucide-react';
import type { Room } from '../api/queries';

/** What a room shows of itself in a list. */
export function RoomMark(_: { room: Room }) {
  return <Hash size={14} aria-hidden className="shrink-0 text-faint" />;
}
