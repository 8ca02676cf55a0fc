// What the pages ask, each under a key that the feed can call old. A key begins with what it belongs to.

import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { api, unwrap, type Schemas } from './client';

export type Room = Schemas['RoomView'];
/** A room as the list shows it: with what is new in it, and what needs the reader. */
export type RoomEntry = Schemas['RoomEntry'];
export type Message = Schemas['MessageView'];
export type Agent = Schemas['AgentView'];
export type Run = Schemas['RunView'];
export type Task = Schemas['TaskView'];
export type Machine = Schemas['MachineView'];
export type Command = Schemas['CommandView'];
export type Me = Schemas['Me'];
export type Permission = Schemas['PermissionView'];

export const keys = {
  account: ['account'] as const,
  rooms: ['rooms'] as const,
  room: (id: string) => ['room', id] as const,
  machines: ['machines'] as const,
  machine: (id: string) => ['machine', id] as const,
  run: (id: string) => ['run', id] as const,
  activity: ['activity'] as const,
};

export const me = queryOptions({
  queryKey: [...keys.account, 'me'],
  queryFn: () => unwrap(api.GET('/api/auth/session')),
  staleTime: 60_000,
});

export const sessions = queryOptions({
  queryKey: [...keys.account, 'sessions'],
  queryFn: () => unwrap(api.GET('/api/auth/sessions')),
  select: (found) => found.sessions,
});

export const members = (instanceId: string) =>
  queryOptions({
    queryKey: [...keys.account, 'members', instanceId],
    queryFn: () => unwrap(api.GET('/api/instances/{instanceId}/members', { params: { path: { instanceId } } })),
    select: (found) => found.members,
    staleTime: 60_000,
  });

export const rooms = queryOptions({ queryKey: keys.rooms, queryFn: () => everyRoom(false) });

export const archivedRooms = queryOptions({ queryKey: [...keys.rooms, 'archived'], queryFn: () => everyRoom(true) });

/** Reads the list to its end: the rail holds all of it. */
async function everyRoom(archived: boolean): Promise<RoomEntry[]> {
  const found: RoomEntry[] = [];
  let after: string | undefined;
  do {
    const query = { archived, limit: 500, ...(after === undefined ? {} : { after }) };
    const page = await unwrap(api.GET('/api/chatrooms', { params: { query } }));
    found.push(...page.chatrooms);
    after = page.next ?? undefined;
  } while (after !== undefined);
  return found;
}

export const room = (chatroomId: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'itself'],
    queryFn: () => unwrap(api.GET('/api/chatrooms/{chatroomId}', { params: { path: { chatroomId } } })),
  });

export const agents = (chatroomId: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'agents'],
    queryFn: () => unwrap(api.GET('/api/chatrooms/{chatroomId}/agents', { params: { path: { chatroomId } } })),
    select: (found) => found.agents,
  });

export const tasks = (chatroomId: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'tasks'],
    queryFn: () => unwrap(api.GET('/api/chatrooms/{chatroomId}/tasks', { params: { path: { chatroomId } } })),
    select: (found) => found.tasks,
  });

export const prompts = (chatroomId: string, role: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'prompts', role],
    queryFn: () =>
      unwrap(api.GET('/api/chatrooms/{chatroomId}/agents/{role}/prompts', { params: { path: { chatroomId, role } } })),
    select: (found) => found.prompts,
  });

export const run = (runId: string) =>
  queryOptions({
    queryKey: [...keys.run(runId), 'itself'],
    queryFn: () => unwrap(api.GET('/api/runs/{runId}', { params: { path: { runId } } })),
  });

export const machines = queryOptions({
  queryKey: keys.machines,
  queryFn: () => unwrap(api.GET('/api/machines')),
  select: (found) => found.machines,
});

export const machine = (machineId: string) =>
  queryOptions({
    queryKey: [...keys.machine(machineId), 'itself'],
    queryFn: () => unwrap(api.GET('/api/machines/{machineId}', { params: { path: { machineId } } })),
  });

export const liveRuns = (machineId: string) =>
  queryOptions({
    queryKey: [...keys.machine(machineId), 'runs'],
    queryFn: () => unwrap(api.GET('/api/machines/{machineId}/runs', { params: { path: { machineId } } })),
    select: (found) => found.runs,
  });

/** What a machine permits, as it says itself: it must be online for that. */
export const policy = (machineId: string) =>
  queryOptions({
    queryKey: [...keys.machine(machineId), 'policy'],
    queryFn: () => unwrap(api.GET('/api/machines/{machineId}/policy', { params: { path: { machineId } } })),
    staleTime: 5_000,
    retry: false,
  });

export const pastRuns = (chatroomId: string, role: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'runs', role],
    queryFn: () =>
      unwrap(
        api.GET('/api/chatrooms/{chatroomId}/agents/{role}/runs', {
          params: { path: { chatroomId, role }, query: { limit: 50 } },
        }),
      ),
    select: (found) => found.runs,
  });

export const commands = (machineId: string) =>
  queryOptions({
    queryKey: [...keys.machine(machineId), 'commands'],
    queryFn: () => unwrap(api.GET('/api/machines/{machineId}/commands', { params: { path: { machineId } } })),
    select: (found) => found.commands,
  });

/** Rooms and messages that have a text. */
export const search = (q: string) =>
  queryOptions({
    queryKey: ['search', q],
    queryFn: () => unwrap(api.GET('/api/search', { params: { query: { q, limit: 20 } } })),
    staleTime: 10_000,
  });

/** How many messages are read at once. */
export const MESSAGES = 100;

export const messages = (chatroomId: string) =>
  queryOptions({
    queryKey: [...keys.room(chatroomId), 'messages'],
    queryFn: () =>
      unwrap(
        api.GET('/api/chatrooms/{chatroomId}/messages', { params: { path: { chatroomId }, query: { limit: MESSAGES } } }),
      ),
  });

/** What was said before the messages above, a page at a time. It changes no more. */
export const earlier = (chatroomId: string, before: string) =>
  infiniteQueryOptions({
    queryKey: ['earlier', chatroomId, before],
    initialPageParam: before,
    queryFn: ({ pageParam }) =>
      unwrap(
        api.GET('/api/chatrooms/{chatroomId}/messages', {
          params: { path: { chatroomId }, query: { limit: MESSAGES, beforeMessageId: pageParam } },
        }),
      ),
    getNextPageParam: (page) => (page.messages.length < MESSAGES ? undefined : page.messages[0]?.messageId),
    staleTime: Infinity,
  });
