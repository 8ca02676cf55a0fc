// The agents of a room: one card per role.

import { useQuery } from '@tanstack/react-query';
import { Play, Square } from 'lucide-react';
import { agents, machines, type Agent, type Room } from '../api/queries';
import { tell, useAct } from '../ui/act';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { AgentCard } from './card';
import { command, isLive, machineOf } from './command';

export function Agents({ room }: { room: Room }) {
  const all = useQuery(agents(room.chatroomId));
  const known = useQuery(machines);
  if (all.isError) return <Problem error={all.error} retry={() => void all.refetch()} />;
  if (!all.data || !known.data) return <Skeleton rows={6} />;
  return (
    <div className="flex flex-col gap-3 p-3">
      {all.data.map((agent) => (
        <AgentCard key={agent.role} agent={agent} room={room} machines={known.data} />
      ))}
      {all.data.length > 1 && <All room={room} agents={all.data} />}
    </div>
  );
}

const names = (all: Agent[]) => (all.length === 1 ? `${all[0]?.role} was` : `${all.length} agents were`);

/** Starts or stops all that are the caller's, one command each. */
function All({ room, agents: all }: { room: Room; agents: Agent[] }) {
  const each = (type: 'start-agent' | 'stop-agent', which: Agent[]) =>
    Promise.all(
      which.map(async (agent) => {
        const machine = machineOf(agent);
        if (machine) await command(machine, type, room.chatroomId, agent.role).catch(tell);
      }),
    );
  const startable = all.filter((agent) => machineOf(agent) && !isLive(agent));
  const stoppable = all.filter((agent) => machineOf(agent) && isLive(agent));
  const start = useAct(() => each('start-agent', startable), () => `${names(startable)} told to start`);
  const stop = useAct(() => each('stop-agent', stoppable), () => ({
    said: `${names(stoppable)} told to stop`,
    undo: () => each('start-agent', stoppable),
    undoing: 'Start again',
  }));
  if (startable.length + stoppable.length === 0) return null;
  return (
    <div className="grid grid-cols-2 gap-2">
      <Button disabled={startable.length === 0} busy={start.busy} onClick={() => start()}>
        <Play size={14} aria-hidden />
        Start all
      </Button>
      <Button disabled={stoppable.length === 0} busy={stop.busy} onClick={() => stop()}>
        <Square size={14} aria-hidden />
        Stop all
      </Button>
    </div>
  );
}
