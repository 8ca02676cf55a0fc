// The start page: the way to the first answer, then what needs somebody, then the rooms.

import { useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Check, Plus } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { agents, archivedRooms, machines, messages, rooms, type Agent, type RoomEntry } from '../api/queries';
import { PageHead } from '../frame/frame';
import { AddMachine } from '../machines/add';
import { Button } from '../ui/button';
import { Commands } from '../ui/copy';
import { cx } from '../ui/cx';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { StatusWord } from '../ui/status';
import { useNarrow } from '../ui/media';
import { CreateRoom } from './create';
import { RoomLink } from './link';
import { waiting } from './mark';
import { LOOKED_INTO, NeedsYou } from './needs-you';

export function Home() {
  const all = useQuery(rooms);
  const [creating, setCreating] = useState(false);
  return (
    <>
      <PageHead title="Rooms">
        <Button look="main" onClick={() => setCreating(true)}>
          <Plus size={16} aria-hidden />
          New room
        </Button>
      </PageHead>
      <div className="min-h-0 grow overflow-y-auto">
        {all.isPending && <Skeleton rows={5} />}
        {all.isError && (
          <div className="p-4">
            <Problem error={all.error} retry={() => void all.refetch()} />
          </div>
        )}
        {all.data && <Inside rooms={all.data} create={() => setCreating(true)} />}
      </div>
      <CreateRoom open={creating} onOpenChange={setCreating} />
    </>
  );
}

function Inside({ rooms: all, create }: { rooms: RoomEntry[]; create: () => void }) {
  // First what waits for somebody, then what moved last.
  const byUse = all.toSorted((one, other) => waiting(other) - waiting(one) || other.lastActivityAt - one.lastActivityAt);
  const looked = byUse.slice(0, LOOKED_INTO);
  const found = useQueries({ queries: looked.map((room) => agents(room.chatroomId)) });
  const narrow = useNarrow();
  const roles = looked.flatMap((room, at) => (found[at]?.data ?? []).map((agent) => ({ room, agent })));
  return (
    <div className="mx-auto flex w-full max-w-[760px] flex-col gap-6 p-4">
      {found.every((answer) => !answer.isPending) && (
        <Checklist room={looked[0]} started={roles.some(({ agent }) => agent.run != null)} create={create} />
      )}
      <NeedsYou rooms={byUse} agentsOf={(room) => found[looked.indexOf(room)]?.data} />
      {narrow && (
        <ul>
          {all.map((room) => (
            <li key={room.chatroomId} className="[content-visibility:auto] [contain-intrinsic-size:auto_44px]">
              <RoomLink room={room} isOpen={false} />
            </li>
          ))}
        </ul>
      )}
      {!narrow && all.length > 0 && <Recent rooms={looked} agents={found.map((answer) => answer.data)} />}
      <Archived />
    </div>
  );
}

/** The rooms that were put away. */
function Archived() {
  const { data } = useQuery(archivedRooms);
  if (!data?.length) return null;
  return (
    <details>
      <summary className="text-quiet">Archived ({data.length})</summary>
      <ul className="mt-2 rounded-md border border-line bg-panel">
        {data.map((room) => (
          <li key={room.chatroomId} className="border-line not-first:border-t">
            <Link to="/rooms/$roomId" params={{ roomId: room.chatroomId }} className="block truncate px-3 py-2 hover:bg-hover">
              {room.name}
            </Link>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Recent({ rooms: recent, agents: found }: { rooms: RoomEntry[]; agents: (Agent[] | undefined)[] }) {
  return (
    <section>
      <h2 className="mb-2 font-semibold">Latest rooms</h2>
      <ul className="rounded-md border border-line bg-panel">
        {recent.map((room, at) => (
          <li key={room.chatroomId} className="border-line not-first:border-t">
            <Link
              to="/rooms/$roomId"
              params={{ roomId: room.chatroomId }}
              className="flex flex-wrap items-center gap-x-4 gap-y-1 px-3 py-2 hover:bg-hover"
            >
              <span className="min-w-40 grow truncate font-medium">{room.name}</span>
              {found[at]?.map((agent) => (
                <span key={agent.role} className="inline-flex items-center gap-2 text-quiet">
                  {agent.role}
                  <StatusWord status={agent.status} />
                </span>
              ))}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The way from nothing to a first answer. Each step ticks itself when it has happened. */
function Checklist({ room, started, create }: { room: RoomEntry | undefined; started: boolean; create: () => void }) {
  const { data: known } = useQuery(machines);
  const said = useQuery({ ...messages(room?.chatroomId ?? ''), enabled: room !== undefined });
  if (!known) return null;
  const answered = said.data?.messages.some((message) => message.sender !== 'user' && message.sender !== 'system');
  const steps = [
    {
      title: 'Register a machine',
      done: known.length > 0,
      how: <AddMachine />,
    },
    {
      title: 'Find an agent program on it',
      done: known.some((machine) => machine.availableTools.length > 0),
      how: known.some((machine) => machine.daemonConnected) ? (
        <p className="text-quiet">
          Install claude, opencode, cursor or pi there; the daemon looks again by itself, and{' '}
          <Link to="/machines" className="text-accent underline">
            Machines
          </Link>{' '}
          shows what it finds.
        </p>
      ) : (
        <>
          <p className="text-quiet">Its daemon looks for them. There, run:</p>
          <Commands lines="chatroom machine daemon start" className="w-full" />
        </>
      ),
    },
    {
      title: 'Make a room',
      done: room !== undefined,
      how: (
        <Button look="main" onClick={create}>
          New room
        </Button>
      ),
    },
    {
      title: 'Start an agent',
      done: started,
      how: room && (
        <Button look="main" asChild>
          <Link to="/rooms/$roomId" params={{ roomId: room.chatroomId }}>
            Open {room.name}
          </Link>
        </Button>
      ),
    },
    {
      title: 'Say hello, and read the answer',
      done: answered === true,
      how: room && (
        <Button look="main" asChild>
          <Link to="/rooms/$roomId" params={{ roomId: room.chatroomId }}>
            Write in {room.name}
          </Link>
        </Button>
      ),
    },
  ];
  if (room && said.isPending) return null;
  if (steps.every((step) => step.done)) return null;
  const next = steps.find((step) => !step.done);
  return (
    <section aria-labelledby="first-steps">
      <h2 id="first-steps" className="mb-2 font-semibold">
        First steps
      </h2>
      <ol className="rounded-md border border-line bg-panel">
        {steps.map((step, at) => (
          <Step key={step.title} number={at + 1} title={step.title} done={step.done}>
            {step === next && step.how}
          </Step>
        ))}
      </ol>
    </section>
  );
}

function Step({ number, title, done, children }: { number: number; title: string; done: boolean; children: ReactNode }) {
  return (
    <li className="flex gap-3 border-line px-3 py-2.5 not-first:border-t">
      <span
        aria-hidden
        className={cx(
          'mt-px grid size-5 shrink-0 place-items-center rounded-full border text-xs',
          done ? 'border-accent bg-accent text-on-accent' : 'border-line-strong text-quiet',
        )}
      >
        {done ? <Check size={12} strokeWidth={3} /> : number}
      </span>
      <div className="flex min-w-0 grow flex-col items-start gap-2">
        <span className={done ? 'text-quiet' : 'font-medium'}>
          {title}
          {done && <span className="sr-only"> (done)</span>}
        </span>
        {children}
      </div>
    </li>
  );
}
