// The agents of a room: one card per role.

import { useQuery } from '@tanstack/react-query';
import { Play, Square } from 'lucide-react';
import { useRef } from 'react';
import { agents, machines, type Agent, type Room } from '../api/queries';
import { useKeys } from '../frame/keys';
import { tell, useAct } from '../ui/act';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { AgentCard } from './card';
import { command, isLive, machineOf } from './command';

export function Agents({ room }: { room: Room }) {
  const all = useQuery(agents(room.chatroomId));
  const known = useQuery(machines);
  const cards = useRef<HTMLDivElement>(null);
  const onCard = (key: string) => () => pressOn(cards.current, key);
  useKeys('On the card of an agent', {
    a: { does: 'Allow what it asks', call: onCard('a') },
    d: { does: 'Deny it', call: onCard('d') },
    i: { does: 'Interrupt its turn', call: onCard('i') },
    '.': { does: 'What can be done with it, or with the room', call: onCard('.') },
  });
  if (all.isError) return <Problem error={all.error} retry={() => void all.refetch()} />;
  if (!all.data || !known.data) return <Skeleton rows={6} />;
  return (
    <div ref={cards} className="flex flex-col gap-3 p-3">
      {all.data.map((agent) => (
        <AgentCard key={agent.role} agent={agent} room={room} machines={known.data} />
      ))}
      {all.data.length > 1 && <All room={room} agents={all.data} />}
    </div>
  );
}

/**
 * Presses what a key stands for on the card that has the focus. Nobody answers what they do not look at: without one, the
 * first press leads to the card that has it.
 */
function pressOn(cards: HTMLElement | null, key: string): boolean {
  const named = `[data-key="${key}"]`;
  const focused = document.activeElement?.closest('article');
  const card = focused && cards?.contains(focused) ? focused : undefined;
  const button = (card ?? (key === '.' ? document : undefined))?.querySelector<HTMLElement>(`main ${named}`);
  if (!button) {
    cards?.querySelector(named)?.closest('article')?.focus();
    return true;
  }
  button.focus();
  // A menu opens by a key, not by a click.
  if (key === '.') button.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  else button.click();
  return true;
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
