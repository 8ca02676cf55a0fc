// Sending commands to machines, and waiting for what comes of them.

import { api, unwrap, type Schemas } from '../api/client';
import type { Agent, Command } from '../api/queries';
import type { Done } from '../ui/act';

type Kind = Schemas['CommandType'];

export function command(machineId: string, type: Kind, chatroomId?: string, role?: string, resume?: boolean): Promise<Command> {
  return unwrap(
    api.POST('/api/machines/{machineId}/commands', {
      params: { path: { machineId } },
      body: {
        type,
        ...(chatroomId ? { chatroomId } : {}),
        ...(role ? { role } : {}),
        ...(resume ? { resume } : {}),
      },
    }),
  );
}

const SAID: Partial<Record<Kind, string>> = { 'stop-agent': 'stop', 'start-agent': 'start', 'restart-agent': 'start anew' };

/** Says what an agent was told; a stop is taken back by another start. */
export function toldTo(type: Kind, role: string, start: () => Promise<unknown>): Done {
  const said = `${role} was told to ${SAID[type] ?? type}`;
  return type === 'stop-agent' ? { said, undo: start, undoing: 'Start again' } : said;
}

export function interruptTurn(chatroomId: string, role: string) {
  return unwrap(api.POST('/api/chatrooms/{chatroomId}/agents/{role}/interrupt', { params: { path: { chatroomId, role } } }));
}

/** Waits until a command has its outcome; one that failed is an error in the machine's words. */
export async function settled(sent: Command): Promise<Command> {
  const path = { machineId: sent.machineId, commandId: sent.commandId };
  let now = sent;
  while (now.status === 'pending' || now.status === 'processing') {
    await new Promise((resolve) => setTimeout(resolve, 250));
    now = await unwrap(api.GET('/api/machines/{machineId}/commands/{commandId}', { params: { path } }));
  }
  if (now.status === 'completed') return now;
  throw new Error(now.result ?? (now.status === 'expired' ? 'The machine did not take it in time.' : 'It failed.'));
}

/** The machine an agent is started on: where it runs, or ran, else where one configuration of the caller says. */
export function machineOf(agent: Agent): string | undefined {
  const configured = agent.configs.map((config) => config.machineId);
  return agent.machineId && configured.includes(agent.machineId) ? agent.machineId : configured[0];
}

export const isLive = (agent: Agent) => agent.run != null && agent.run.exitedAt == null;
