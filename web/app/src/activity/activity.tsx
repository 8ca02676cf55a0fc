// What happened, the newest first: who did what, where, and how it came out.

import { useInfiniteQuery, useQuery, useSuspenseQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { keys, machines, me, members, rooms } from '../api/queries';
import { PageHead } from '../frame/frame';
import { useRows } from '../frame/keys';
import type { FeedEvent } from '../live/feed';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { Ago } from '../ui/time';
import { told } from './words';

const PAGE = 100;
/** Past every position there will be. */
const NEWEST = Number.MAX_SAFE_INTEGER;

export function ActivityPage() {
  const { data: person } = useSuspenseQuery(me);
  const [instance, setInstance] = useState(person.instances[0]?.instanceId ?? '');
  const [noun, setNoun] = useState('');
  const [room, setRoom] = useState('');
  const [who, setWho] = useState('');
  const [where, setWhere] = useState('');
  const { data: allRooms } = useQuery(rooms);
  const { data: allMachines } = useQuery(machines);
  const { data: people } = useQuery(members(instance));
  const filters = {
    ...(noun ? { kind: noun } : {}),
    ...(room ? { chatroom: room } : {}),
    ...(who ? { user: who } : {}),
    ...(where ? { machine: where } : {}),
  };
  const feed = useInfiniteQuery({
    queryKey: [...keys.activity, instance, filters],
    initialPageParam: NEWEST,
    queryFn: async ({ pageParam }) => {
      const query = { instance, limit: PAGE, before: pageParam, ...filters };
      // Without asking for a stream, it is JSON.
      return (await unwrap(api.GET('/api/events', { params: { query } }))) as Schemas['Events'];
    },
    getNextPageParam: (page) => (page.next > 0 ? page.next : undefined),
  });
  const shown = useMemo(() => feed.data?.pages.flatMap((page) => page.events) ?? [], [feed.data]);
  return (
    <>
      <PageHead title="Activity">
        {person.instances.length > 1 && (
          <Pick label="Of" value={instance} onChange={setInstance} choices={person.instances.map((one) => [one.instanceId, one.name])} />
        )}
        <Pick label="About" value={noun} onChange={setNoun} choices={[['', 'everything'], ...NOUNS]} />
        <Pick
          label="In"
          value={room}
          onChange={setRoom}
          choices={[['', 'every room'], ...(allRooms ?? []).map((one): [string, string] => [one.chatroomId, one.name])]}
        />
        <Pick
          label="On"
          value={where}
          onChange={setWhere}
          choices={[['', 'every machine'], ...(allMachines ?? []).map((one): [string, string] => [one.machineId, one.alias])]}
        />
        <Pick
          label="By"
          value={who}
          onChange={setWho}
          choices={[['', 'everybody'], ...(people ?? []).map((one): [string, string] => [one.userId, one.name])]}
        />
      </PageHead>
      <div className="min-h-0 grow overflow-y-auto">
        <div className="mx-auto w-full max-w-[960px] p-4">
          {feed.isPending && <Skeleton rows={8} />}
          {feed.isError && <Problem error={feed.error} retry={() => void feed.refetch()} />}
          {feed.data && shown.length === 0 && <Empty title="Nothing of that happened yet" />}
          <List events={shown} />
          {feed.hasNextPage && (
            <Button busy={feed.isFetchingNextPage} onClick={() => void feed.fetchNextPage()}>
              Show more
            </Button>
          )}
        </div>
      </div>
    </>
  );
}

const NOUNS: [string, string][] = [
  ['agent', 'agents'],
  ['run', 'runs'],
  ['permission', 'permissions'],
  ['task', 'tasks'],
  ['message', 'messages'],
  ['machine', 'machines'],
  ['command', 'commands'],
  ['room', 'rooms'],
  ['member', 'members'],
  ['session', 'sessions'],
];

interface PickProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  choices: [string, string][];
}

function Pick({ label, value, onChange, choices }: PickProps) {
  return (
    <label className="flex items-center gap-1.5 text-quiet">
      {label}
      <select
        value={value}
        onChange={(event) => onChange(event.target.value)}
        className="h-7 max-w-40 rounded-md border border-line-strong bg-panel px-1.5 text-ink"
      >
        {choices.map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function List({ events }: { events: FeedEvent[] }) {
  const { data: allRooms } = useQuery(rooms);
  const { data: allMachines } = useQuery(machines);
  const room = useMemo(() => new Map(allRooms?.map((one) => [one.chatroomId, one.name])), [allRooms]);
  const machine = useMemo(() => new Map(allMachines?.map((one) => [one.machineId, one.alias])), [allMachines]);
  const list = useRef<HTMLUListElement>(null);
  useRows('In the activity', { box: list, count: events.length });
  if (events.length === 0) return null;
  return (
    <ul ref={list} className="mb-3 rounded-md border border-line bg-panel">
      {events.map((event, at) => (
        <li
          key={event.position}
          data-row={at}
          tabIndex={-1}
          className="grid grid-cols-[1fr_auto] gap-x-4 border-line px-3 py-1.5 [content-visibility:auto] [contain-intrinsic-size:auto_33px] not-first:border-t"
        >
          <span className="min-w-0">
            {event.userId && <span className="font-medium">{event.userName ?? 'Somebody'} </span>}
            <span>{told(event)}</span>
            {event.chatroomId && (
              <>
                {' in '}
                <Link to="/rooms/$roomId" params={{ roomId: event.chatroomId }} className="underline">
                  {room.get(event.chatroomId) ?? 'a room'}
                </Link>
              </>
            )}
            {event.machineId && machine.has(event.machineId) && (
              <>
                {' on '}
                <Link to="/machines/$machineId" params={{ machineId: event.machineId }} className="underline">
                  {machine.get(event.machineId)}
                </Link>
              </>
            )}
          </span>
          <Ago at={event.at} className="text-right text-quiet" />
        </li>
      ))}
    </ul>
  );
}
