// One role as an agent: what it does and why, and what can be done about it.

import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Ellipsis, Hand, History, Play, RotateCw, Settings2, Share2, Square } from 'lucide-react';
import { useEffect, useState } from 'react';
import { api, unwrap } from '../api/client';
import { keys, type Agent, type Machine, type Room } from '../api/queries';
import { asJson, isRecord } from '../runs/summary';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { visible } from '../ui/code';
import { Commands } from '../ui/copy';
import { Menu } from '../ui/menu';
import { StatusWord } from '../ui/status';
import { Ago, duration, useNow } from '../ui/time';
import { command, interruptTurn, isLive, machineOf, toldTo } from './command';
import { PastRuns } from './past';
import { Answers } from './permission';
import { AgentSetup } from './setup';

interface CardProps {
  agent: Agent;
  room: Room;
  machines: Machine[];
}

export function AgentCard({ agent, room, machines }: CardProps) {
  const [setup, setSetup] = useState(false);
  const [past, setPast] = useState(false);
  const machineId = machineOf(agent);
  const config = agent.configs.find((known) => known.machineId === machineId);
  const machine = machines.find((known) => known.machineId === (agent.machineId ?? machineId));
  const shown = isLive(agent) ? agent.run : undefined;
  const tool = shown?.tool ?? config?.agentType;
  const model = shown ? shown.model : config?.model;
  const asks = agent.permissions[0];
  return (
    <article aria-label={agent.role} tabIndex={-1} className="flex flex-col gap-2 rounded-md border border-line bg-panel p-3">
      <header className="flex items-center gap-2">
        <h3 className="grow truncate text-lg font-semibold">{agent.role}</h3>
        <StatusWord status={agent.status} />
      </header>
      {(tool || machine) && (
        <p className="text-quiet">
          {[tool && (model ? `${tool} · ${model}` : tool), machine?.alias].filter(Boolean).join(' on ')}
          {shown && <span className="block truncate font-mono text-sm">{shown.workingDir}</span>}
        </p>
      )}
      <Why agent={agent} machine={machine} />
      {asks && (
        <div className="flex flex-col gap-2 rounded-md bg-amber-soft p-2">
          <p className="font-medium">{asks.title}</p>
          <pre className="max-h-48 overflow-auto font-mono text-sm whitespace-pre-wrap" tabIndex={0}>
            {visible(readable(asks.input))}
          </pre>
          <Answers roomId={room.chatroomId} role={agent.role} permission={asks} />
          {agent.permissions.length > 1 && <p className="text-sm text-quiet">and {agent.permissions.length - 1} more</p>}
        </div>
      )}
      <Actions agent={agent} room={room} machineId={machineId} setUp={() => setSetup(true)} showPast={() => setPast(true)} />
      <PastRuns open={past} onOpenChange={setPast} agent={agent} room={room} />
      <AgentSetup open={setup} onOpenChange={setSetup} agent={agent} room={room} machines={machines} />
    </article>
  );
}

/** Returns all of what is asked, as one reads it: what it says, line by line. */
function readable(input: string): string {
  const found = asJson(input);
  if (!isRecord(found)) return input;
  const said = ([key, value]: [string, unknown]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`;
  return Object.entries(found).map(said).join('\n');
}

/** Why it is as it is, where that is not plain. */
function Why({ agent, machine }: { agent: Agent; machine: Machine | undefined }) {
  const away = agent.status === 'offline' && machine;
  return (
    <>
      {agent.reason && agent.permissions.length === 0 && <p className={agent.status === 'gave-up' ? 'text-red' : 'text-quiet'}>{agent.reason}</p>}
      {away && (
        <>
          <p className="text-quiet">
            {machine.alias} was last seen <Ago at={machine.lastSeenAt} />. There, run:
          </p>
          <Commands lines="chatroom machine daemon start" />
        </>
      )}
      {(agent.crashes ?? 0) > 0 && agent.status !== 'gave-up' && (
        <p className="text-amber">
          Stopped by itself {agent.crashes === 1 ? 'once' : `${agent.crashes} times`} within ten minutes.
        </p>
      )}
      {agent.restartNeeded && <p className="text-amber">What is set up differs from what runs: restart it to take that.</p>}
      {(agent.status === 'starting' || agent.status === 'stopping') && agent.run && <Since agent={agent} />}
    </>
  );
}

/** How long a start takes already. */
function Since({ agent }: { agent: Agent }) {
  const now = useNow();
  const began = agent.run?.createdAt ?? now;
  if (agent.status === 'stopping') return <p className="text-quiet">The agent was told to stop.</p>;
  return (
    <p className="text-quiet">
      {agent.run?.pid ? 'Its process is there and gets ready' : 'The command is on its way'}, {duration(now - began)}
    </p>
  );
}

interface ActionsProps {
  agent: Agent;
  room: Room;
  machineId: string | undefined;
  setUp: () => void;
  showPast: () => void;
}

function Actions({ agent, room, machineId, setUp, showPast }: ActionsProps) {
  const queries = useQueryClient();
  const live = isLive(agent);
  const order = async ({ type, resume }: { type: 'start-agent' | 'stop-agent' | 'restart-agent'; resume?: boolean }) => {
    if (!machineId) return;
    await command(machineId, type, room.chatroomId, agent.role, resume);
    await queries.invalidateQueries({ queryKey: keys.room(room.chatroomId) });
  };
  const managed = agent.run?.form === 'managed';
  const send = useAct(order, ({ type }) => toldTo(type, agent.role, () => order({ type: 'start-agent', resume: managed })));
  const setShared = (shared: boolean) =>
    unwrap(
      api.PUT('/api/chatrooms/{chatroomId}/agents/{role}/share', {
        params: { path: { chatroomId: room.chatroomId, role: agent.role } },
        body: { shared },
      }),
    );
  const share = useAct(
    setShared,
    (shared) => ({
      said: shared ? `${agent.role} is shared with the room` : `${agent.role} is no longer shared`,
      undo: () => setShared(!shared),
    }),
  );
  const interrupt = useAct(() => interruptTurn(room.chatroomId, agent.role), 'The turn is being interrupted');
  const own = machineId !== undefined;
  const elsewhere = agent.machineId != null && !agent.configs.some((config) => config.machineId === agent.machineId) && live;
  const open = agent.run && (
    <Button asChild className="grow">
      <Link to="/rooms/$roomId/runs/$runId" params={{ roomId: room.chatroomId, runId: agent.run.runId }}>
        {live ? 'Open run' : 'Last run'}
      </Link>
    </Button>
  );
  if (elsewhere) return <p className="text-quiet">It runs on another member’s machine, which is theirs to steer.</p>;
  const resumable = !live && managed;
  return (
    <div className="flex flex-wrap items-center gap-2">
      {!own && (
        <Button look="main" className="grow" onClick={setUp}>
          <Settings2 size={14} aria-hidden />
          Set up
        </Button>
      )}
      {own && !live && (
        <Button look="main" className="grow" busy={send.busy} onClick={() => send({ type: 'start-agent' })}>
          <Play size={14} aria-hidden />
          {agent.status === 'gave-up' ? 'Start again' : 'Start'}
        </Button>
      )}
      {own && live && agent.status !== 'stopping' && (
        <Button className="grow" busy={send.busy} onClick={() => send({ type: 'stop-agent' })}>
          <Square size={14} aria-hidden />
          {agent.status === 'starting' ? 'Cancel' : 'Stop'}
        </Button>
      )}
      {own && agent.status === 'stopping' && <ForceStop stop={() => send({ type: 'stop-agent' })} busy={send.busy} />}
      {open}
      {own && (agent.status === 'working' || agent.status === 'needs-you') && agent.run?.form === 'managed' && (
        <IconButton label="Interrupt the turn" data-key="i" busy={interrupt.busy} onClick={() => interrupt()}>
          <Hand size={16} />
        </IconButton>
      )}
      {own && (
        <Menu
          trigger={
            <IconButton label={`More about ${agent.role}`} data-key=".">
              <Ellipsis size={16} />
            </IconButton>
          }
          items={[
            live && {
              label: 'Restart',
              icon: <RotateCw size={14} aria-hidden />,
              act: () => send({ type: 'restart-agent' }),
            },
            resumable && {
              label: 'Start and resume its conversation',
              icon: <Play size={14} aria-hidden />,
              act: () => send({ type: 'start-agent', resume: true }),
            },
            agent.run != null && { label: 'Past runs', icon: <History size={14} aria-hidden />, act: showPast },
            { label: 'Set up', icon: <Settings2 size={14} aria-hidden />, act: setUp },
            {
              label: agent.shared ? 'Stop sharing with the room' : 'Share with the room',
              icon: <Share2 size={14} aria-hidden />,
              act: () => share(!agent.shared),
            },
          ]}
        />
      )}
    </div>
  );
}

/** A stop that takes long may be asked for again; the machine ends the whole tree of processes by then. */
function ForceStop({ stop, busy }: { stop: () => void; busy: boolean }) {
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), 10_000);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Button className="grow" look={long ? 'danger' : 'plain'} disabled={!long} busy={busy} onClick={stop}>
      <Square size={14} aria-hidden />
      {long ? 'Force stop' : 'Stopping…'}
    </Button>
  );
}
