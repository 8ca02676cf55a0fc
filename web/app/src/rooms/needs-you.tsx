// What waits for the reader, of all rooms: agent by agent where the page knows them, else what the list of rooms says.

import { useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { agents, rooms, type Agent, type RoomEntry } from '../api/queries';
import { PageHead } from '../frame/frame';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { StatusWord } from '../ui/status';
import { waiting } from './mark';

/** How many rooms are looked into, for their agents; the list of all tells what waits in the others. */
export const LOOKED_INTO = 12;

/** All of it on a page of its own, a thumb away on a phone. */
export function NeedsYouPage() {
  const all = useQuery(rooms);
  const those = (all.data ?? []).filter((room) => waiting(room) > 0).toSorted((one, other) => waiting(other) - waiting(one));
  const looked = those.slice(0, LOOKED_INTO);
  const found = useQueries({ queries: looked.map((room) => agents(room.chatroomId)) });
  return (
    <>
      <PageHead title="Needs you" />
      <div className="min-h-0 grow overflow-y-auto">
        {all.isPending && <Skeleton rows={3} />}
        {all.isError && (
          <div className="p-4">
            <Problem error={all.error} retry={() => void all.refetch()} />
          </div>
        )}
        {all.data && those.length === 0 && (
          <Empty title="Nothing needs you">
            <p className="text-quiet">An agent that asks, gives up, or hands its work to you is listed here.</p>
          </Empty>
        )}
        {those.length > 0 && (
          <div className="mx-auto w-full max-w-[760px] p-4">
            <List rooms={those} agentsOf={(room) => found[looked.indexOf(room)]?.data} />
          </div>
        )}
      </div>
    </>
  );
}

interface NeedsYouProps {
  /** Those that wait most first. */
  rooms: RoomEntry[];
  /** The agents of a room, of those rooms that were looked into. */
  agentsOf: (room: RoomEntry) => Agent[] | undefined;
}

/** The same as a part of another page. */
export function NeedsYou({ rooms, agentsOf }: NeedsYouProps) {
  const those = rooms.filter((room) => waiting(room) > 0);
  if (those.length === 0) return null;
  return (
    <section aria-labelledby="needs-you">
      <h2 id="needs-you" className="mb-2 font-semibold">
        Needs you
      </h2>
      <List rooms={those} agentsOf={agentsOf} />
    </section>
  );
}

function List({ rooms, agentsOf }: NeedsYouProps) {
  return (
    <ul className="rounded-md border border-line bg-panel">
      {rooms.flatMap((room) => {
        const asking = agentsOf(room)?.filter(isAsking);
        const said = words(room, asking === undefined);
        return [
          ...(asking ?? []).map((agent) => <Asks key={`${room.chatroomId} ${agent.role}`} room={room} agent={agent} />),
          said && <Told key={room.chatroomId} room={room} said={said} />,
        ];
      })}
    </ul>
  );
}

/** Whether an agent waits for the reader: only whoever's agent it is has configurations of it. */
const isAsking = ({ status, configs }: Agent) => (status === 'needs-you' || status === 'gave-up') && configs.length > 0;

/** Says what waits in a room beside its agents, or with them; nothing where nothing does. */
function words({ needsYou }: RoomEntry, withAgents: boolean): string {
  const { asks, gaveUp, handoffs, approvals } = needsYou;
  const all = [
    withAgents && asks > 0 && (asks === 1 ? 'an agent asks' : `${asks} agents ask`),
    withAgents && gaveUp > 0 && (gaveUp === 1 ? 'an agent gave up' : `${gaveUp} agents gave up`),
    handoffs > 0 && (handoffs === 1 ? 'handed to you' : `${handoffs} times handed to you`),
    approvals > 0 && (approvals === 1 ? 'a task waits for your word' : `${approvals} tasks wait for your word`),
  ];
  return all.filter(Boolean).join(', ');
}

const row = 'flex flex-wrap items-center gap-x-3 px-3 py-2 hover:bg-hover';

function Told({ room, said }: { room: RoomEntry; said: string }) {
  return (
    <li className="border-line not-first:border-t">
      <Link to="/rooms/$roomId" params={{ roomId: room.chatroomId }} className={row}>
        <StatusWord status="needs-you" />
        <span className="font-medium">{room.name}</span>
        <span className="text-quiet">{said}</span>
      </Link>
    </li>
  );
}

function Asks({ room, agent }: { room: RoomEntry; agent: Agent }) {
  const asks = agent.permissions[0];
  return (
    <li className="border-line not-first:border-t">
      <Link
        to={agent.run ? '/rooms/$roomId/runs/$runId' : '/rooms/$roomId'}
        params={{ roomId: room.chatroomId, runId: agent.run?.runId ?? '' }}
        className={row}
      >
        <StatusWord status={agent.status} />
        <span className="font-medium">{agent.role}</span>
        <span className="text-quiet">{room.name}</span>
        <span className="w-full truncate text-quiet sm:w-auto sm:grow">{asks?.title ?? agent.reason}</span>
      </Link>
    </li>
  );
}
