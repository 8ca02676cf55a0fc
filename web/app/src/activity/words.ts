import type { FeedEvent } from '../live/feed';
import { shortIds } from '../ui/copy';

const WORDS: Record<string, string> = {
  'agent.attached': 'opened a terminal of',
  'agent.configured': 'set up',
  'agent.follow-up': 'told something to',
  'agent.freed': 'freed',
  'agent.gave-up': 'gave up on',
  'agent.interrupted': 'interrupted',
  'agent.reachable': 'can be reached again:',
  'agent.shared': 'changed who may use',
  'agent.starting': 'started',
  'agent.stopping': 'stopped',
  'agent.unreachable': 'cannot be reached:',
  'command.completed': 'had a command done for',
  'command.expired': 'had a command come too late for',
  'command.failed': 'had a command fail for',
  'command.pending': 'sent a command for',
  'command.processing': 'has a command under way for',
  'permission.answered': 'answered',
  'permission.asked': 'a question of',
  'permission.closed': 'a question is closed of',
  'run.exited': 'a run ended of',
  'run.started': 'a run began of',
  'turn.ended': 'a turn ended of',
};

const ACTIVITIES: Record<string, string> = {
  starting: 'gets ready',
  idle: 'waits for work',
  working: 'works',
  'waiting-permission': 'asks for permission',
  stopping: 'ends',
  exited: 'is over',
};

/** Those that are no word with a role and an outcome behind it. Who did it, where a person did, stands before them. */
const SENTENCES: Record<string, (role: string, outcome: string) => string> = {
  'machine.tools': () => 'has agent programs looked for',
  'message.queued': (_, target) => `queued a message for ${target}`,
  'message.sent': (role, target) => [role, 'wrote to', target === 'user' ? 'people' : target || 'the room'].join(' ').trim(),
  'room.created': () => 'made a room',
  'room.read': () => 'read what was said',
  'run.activity': (role, activity) => `${role} ${ACTIVITIES[activity] ?? `does something else: ${activity}`}`,
  'task.claimed': (role) => `${role} took a task`,
  'task.completed': (role) => `a task of ${role} is done`,
  'task.pending': (role) => `has a task for ${role}`,
  'task.started': (role) => `${role} began a task`,
};

/** Says an event in words; one of a newer version by its own name. */
export function told(event: FeedEvent): string {
  const [noun = '', verb = ''] = event.kind.split('.');
  const sentence = SENTENCES[event.kind]?.(event.role ?? '', event.outcome ?? '');
  if (sentence) return sentence;
  const words = WORDS[event.kind] ?? `${noun} ${verb.replaceAll('_', ' ').replaceAll('-', ' ')}`;
  const about = [words, event.role].filter(Boolean).join(' ');
  // What is usual needs no word.
  const says = event.outcome && event.outcome !== verb && event.outcome !== 'end';
  return says ? `${about}: ${shortIds(event.outcome ?? '')}` : about;
}
