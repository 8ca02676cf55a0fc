import type { FeedEvent } from '../live/feed';

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
  'permission.answered': 'answered',
  'permission.asked': 'a question of',
  'permission.closed': 'a question is closed of',
  'run.exited': 'a run ended of',
  'run.started': 'a run began of',
};

/** Says an event in words; one of a newer version by its own name. */
export function told(event: FeedEvent): string {
  const [noun = '', verb = ''] = event.kind.split('.');
  const words = WORDS[event.kind] ?? `${noun} ${verb.replaceAll('_', ' ').replaceAll('-', ' ')}`;
  const about = [words, event.role].filter(Boolean).join(' ');
  return event.outcome && event.outcome !== verb ? `${about}: ${event.outcome}` : about;
}
