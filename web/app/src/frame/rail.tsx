import { useQuery, useSuspenseQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { Activity, CircleUser, Inbox, Laptop, Plus, Search } from 'lucide-react';
import { useRef, useState, type ReactNode } from 'react';
import { machines, me, rooms } from '../api/queries';
import { IconButton } from '../ui/button';
import { CreateRoom } from '../rooms/create';
import { RoomLink } from '../rooms/link';
import { waitingInAll } from '../rooms/mark';
import { useRows } from './keys';
import { openPalette } from './palette';

const ROW = 32;

export function Rail() {
  const { data } = useSuspenseQuery(me);
  return (
    <nav
      aria-label="Main"
      className="hidden w-60 shrink-0 flex-col gap-3 border-r border-line bg-sunken px-2 pt-3 pb-2 md:flex"
    >
      <Link to="/" className="flex items-center gap-2 px-2 font-semibold">
        <img src="/icon.svg" alt="" width={20} height={20} />
        <span className="truncate">{data.instances[0]?.name ?? 'chatroom'}</span>
      </Link>
      <button
        type="button"
        onClick={openPalette}
        className="flex h-8 items-center gap-2 rounded-md border border-line bg-panel px-2 text-quiet hover:text-ink"
      >
        <Search size={14} aria-hidden />
        <span className="grow text-left">Search</span>
        <kbd className="font-sans text-xs text-faint">{navigator.platform.startsWith('Mac') ? '⌘K' : 'Ctrl K'}</kbd>
      </button>
      <NeedsYou />
      <RoomList />
      <div className="flex flex-col gap-px">
        <Machines />
        <RailLink to="/activity" icon={<Activity size={16} aria-hidden />}>
          Activity
        </RailLink>
        <RailLink to="/account" icon={<CircleUser size={16} aria-hidden />}>
          {data.name}
        </RailLink>
      </div>
    </nav>
  );
}

/** What waits for the person, in all rooms together. */
function NeedsYou() {
  const { data } = useQuery(rooms);
  const count = waitingInAll(data);
  return (
    <RailLink to="/needs-you" icon={<Inbox size={16} aria-hidden />}>
      <span className="grow">Needs you</span>
      {count > 0 && <span className="rounded-full bg-amber-soft px-1.5 text-sm font-semibold text-amber">{count}</span>}
    </RailLink>
  );
}

/** From so many rooms on, a box finds one. */
const MANY = 12;

function RoomList() {
  const { data: all } = useQuery(rooms);
  const { roomId } = useParams({ strict: false });
  const [wanted, setWanted] = useState('');
  const [creating, setCreating] = useState(false);
  const text = wanted.trim().toLowerCase();
  const data = text ? all?.filter((room) => room.name.toLowerCase().includes(text)) : all;
  const scroll = useRef<HTMLDivElement>(null);
  const list = useVirtualizer({
    count: data?.length ?? 0,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 8,
    useFlushSync: false,
  });
  useRows('In the list of rooms', { box: scroll, count: data?.length ?? 0, scrollTo: (index) => list.scrollToIndex(index) });
  return (
    <div className="flex min-h-0 grow flex-col">
      <div className="flex items-center px-2">
        <h2 className="grow text-sm font-medium text-quiet">Rooms</h2>
        <IconButton label="New room" size="small" onClick={() => setCreating(true)}>
          <Plus size={16} />
        </IconButton>
      </div>
      {(all?.length ?? 0) > MANY && (
        <input
          type="search"
          aria-label="Find a room"
          placeholder="Find a room"
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
          className="mx-2 mb-1 h-7 rounded-md border border-line bg-panel px-2"
        />
      )}
      <div ref={scroll} className="min-h-0 grow overflow-y-auto">
        {data?.length === 0 && <p className="px-2 py-1 text-quiet">{text ? 'None has that in its name.' : 'None yet.'}</p>}
        <ul className="relative" style={{ height: list.getTotalSize() }}>
          {list.getVirtualItems().map((row) => {
            const room = data?.[row.index];
            return (
              room && (
                <li
                  key={room.chatroomId}
                  data-row={row.index}
                  tabIndex={-1}
                  className="absolute inset-x-0"
                  style={{ height: ROW, transform: `translateY(${row.start}px)` }}
                >
                  <RoomLink room={room} isOpen={room.chatroomId === roomId} />
                </li>
              )
            );
          })}
        </ul>
      </div>
      <CreateRoom open={creating} onOpenChange={setCreating} />
    </div>
  );
}

function Machines() {
  const { data } = useQuery(machines);
  const online = data?.filter((machine) => machine.daemonConnected).length;
  return (
    <RailLink to="/machines" icon={<Laptop size={16} aria-hidden />}>
      <span className="grow">Machines</span>
      {data && data.length > 0 && (
        <span className="text-sm text-quiet" title={`${online} of ${data.length} online`}>
          {online}/{data.length}
        </span>
      )}
    </RailLink>
  );
}

function RailLink({ to, icon, children }: { to: '/needs-you' | '/machines' | '/activity' | '/account'; icon: ReactNode; children: ReactNode }) {
  return (
    <Link
      to={to}
      className="flex h-8 items-center gap-2 rounded-md px-2 hover:bg-hover"
      activeProps={{ className: 'bg-hover font-medium' }}
    >
      <span className="text-quiet">{icon}</span>
      {children}
    </Link>
  );
}
