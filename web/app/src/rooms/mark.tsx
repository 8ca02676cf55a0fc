import { Hash } from 'lucide-react';
import type { RoomEntry } from '../api/queries';
import { StatusMark } from '../ui/status';

export function waiting(room: RoomEntry): number {
  const { asks, gaveUp, handoffs, approvals } = room.needsYou;
  return asks + gaveUp + handoffs + approvals;
}

export const waitingInAll = (rooms: RoomEntry[] | undefined) => rooms?.reduce((sum, room) => sum + waiting(room), 0) ?? 0;

/** What a room shows of itself in a list: first what needs the reader, then whether somebody works. */
export function RoomMark({ room }: { room: RoomEntry }) {
  if (waiting(room) > 0) return <Mark label="Needs you" status={room.needsYou.asks === 0 && room.needsYou.gaveUp > 0 ? 'gave-up' : 'needs-you'} />;
  if (room.working > 0) return <Mark label="Working" status="working" />;
  return <Hash size={12} aria-hidden className="shrink-0 text-faint" />;
}

function Mark({ label, status }: { label: string; status: 'needs-you' | 'gave-up' | 'working' }) {
  return (
    <span title={label}>
      <StatusMark status={status} />
      <span className="sr-only">{label}: </span>
    </span>
  );
}
