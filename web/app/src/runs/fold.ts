// From events to what a reader sees: texts put together from their parts, calls with what came back, questions with
// their answers, turns with what they used.

import type { Placed, PromptFrom, Steerer } from './events';
import type { Schemas } from '../api/client';

interface Base {
  /** The number of its first event, by which it is known and linked to. */
  seq: number;
  at: number;
}

export interface Usage {
  input: number;
  output: number;
}

export interface Result {
  seq: number;
  at: number;
  output: string;
  isError: boolean;
}

export type TextEntry = Base & { kind: 'message' | 'thought'; text: string; block?: number | undefined };
export type CallEntry = Base & { kind: 'call'; id: string; name: string; input: string; result?: Result };
/** What a call brought back that is not loaded, or was never told. */
export type ResultEntry = Base & { kind: 'result'; result: Result };
export type PromptEntry = Base & { kind: 'prompt'; from: PromptFrom | undefined; text: string | undefined };
export type TurnEntry = Base & {
  kind: 'turn';
  outcome: Schemas['TurnOutcome'];
  detail: string | undefined;
  took: number | undefined;
  usage: Usage | undefined;
};
export type QuestionEntry = Base & {
  kind: 'question';
  permissionId: string;
  title: string;
  input: string;
  always: string | undefined;
  digest: string;
  closed?: {
    outcome: Schemas['PermissionOutcome'];
    by: Steerer | undefined;
    scope: Schemas['PermissionScope'];
    at: number;
  };
};
export type RepeatedEntry = Base & { kind: 'repeated'; title: string; input: string };
export type SteeredEntry = Base & { kind: 'interrupt' | 'stop'; by: Steerer | undefined };
export type NoticeEntry = Base & { kind: 'notice'; text: string };
export type ExitEntry = Base & { kind: 'exit'; reason: string; requested: boolean };

export type Entry =
  | TextEntry
  | CallEntry
  | ResultEntry
  | PromptEntry
  | TurnEntry
  | QuestionEntry
  | RepeatedEntry
  | SteeredEntry
  | NoticeEntry
  | ExitEntry;

/** A prompt and what became of it. */
export interface Turn {
  /** The number of the prompt. */
  seq: number;
  at: number;
  promptId: string;
  from: PromptFrom | undefined;
  title: string;
  outcome?: Schemas['TurnOutcome'];
  endedAt?: number;
  usage?: Usage;
}

/**
 * Takes events in order. An entry that changes is another object afterwards, so that only it is drawn anew.
 *
 * Where it does not begin at the beginning, what belongs to something before is left out: an entry must not vanish,
 * or begin elsewhere, when more is read above it.
 */
export class Fold {
  readonly entries: Entry[] = [];
  readonly turns: Turn[] = [];
  private readonly calls = new Map<string, number>();
  private readonly questions = new Map<string, number>();
  private usage: Usage | undefined;
  private readonly isWhole: boolean;
  /** The text that was being written where this begins. */
  private cut: number | undefined;

  constructor(isWhole: boolean) {
    this.isWhole = isWhole;
  }

  /** Takes the next event; returns whether an entry began with it. */
  push({ seq, at, event }: Placed): boolean {
    const base = { seq, at };
    switch (event.type) {
      case 'message':
      case 'thought': {
        const last = this.entries.at(-1);
        const block = event.block ?? undefined;
        if (!last && !this.isWhole && block !== undefined) {
          this.cut ??= block;
          if (this.cut === block) return false;
        }
        if (block !== undefined && last?.kind === event.type && last.block === block) {
          this.entries[this.entries.length - 1] = { ...last, text: last.text + event.text };
          return false;
        }
        return this.begin({ ...base, kind: event.type, text: event.text, block });
      }
      case 'tool_call':
        this.calls.set(event.id, this.entries.length);
        return this.begin({ ...base, kind: 'call', id: event.id, name: event.name, input: event.input });
      case 'tool_result': {
        const result = { seq, at, output: event.output, isError: event.isError };
        const place = this.calls.get(event.id);
        const call = place === undefined ? undefined : this.entries[place];
        if (place === undefined && !this.isWhole && this.entries.length === 0) return false;
        if (place === undefined || call?.kind !== 'call') return this.begin({ ...base, kind: 'result', result });
        this.calls.delete(event.id);
        this.entries[place] = { ...call, result };
        return false;
      }
      case 'prompt_sent': {
        const { promptId } = event;
        const [from, text] = [event.from ?? undefined, event.text ?? undefined];
        this.usage = undefined;
        this.turns.push({ ...base, promptId, from, title: firstLine(quoted(text ?? '') || (text ?? '')) });
        return this.begin({ ...base, kind: 'prompt', from, text });
      }
      case 'usage':
        if (event.inputTokens + event.outputTokens > 0) {
          const { input, output } = this.usage ?? { input: 0, output: 0 };
          this.usage = { input: input + event.inputTokens, output: output + event.outputTokens };
        }
        return false;
      case 'turn_ended': {
        const usage = this.usage;
        this.usage = undefined;
        const index = this.turns.findLastIndex((turn) => turn.promptId === event.promptId);
        const turn = this.turns[index];
        if (turn) {
          this.turns[index] = { ...turn, outcome: event.outcome, endedAt: at, ...(usage && { usage }) };
        }
        const took = turn && at - turn.at;
        return this.begin({ ...base, kind: 'turn', outcome: event.outcome, detail: event.detail ?? undefined, took, usage });
      }
      case 'permission_asked': {
        const { permissionId, title, input, digest } = event;
        this.questions.set(permissionId, this.entries.length);
        return this.begin({ ...base, kind: 'question', permissionId, title, input, always: event.always ?? undefined, digest });
      }
      case 'permission_closed': {
        const place = this.questions.get(event.permissionId);
        const question = place === undefined ? undefined : this.entries[place];
        if (place === undefined || question?.kind !== 'question') return false;
        const { outcome, scope = 'once' } = event;
        this.entries[place] = { ...question, closed: { outcome, by: event.by ?? undefined, scope, at } };
        return false;
      }
      case 'permission_repeated':
        return this.begin({ ...base, kind: 'repeated', title: event.title, input: event.input });
      case 'interrupt_asked':
        return this.begin({ ...base, kind: 'interrupt', by: event.by ?? undefined });
      case 'stop_asked':
        return this.begin({ ...base, kind: 'stop', by: event.by ?? undefined });
      case 'notice':
        return this.begin({ ...base, kind: 'notice', text: event.text });
      case 'exited': {
        const { reason, requested } = event;
        return this.begin({ ...base, kind: 'exit', reason, requested });
      }
      default:
        return false;
    }
  }

  private begin(entry: Entry): true {
    this.entries.push(entry);
    return true;
  }
}

/** Returns where the entry is that has an event: the last one that begins at or before it. */
export function placeOf(entries: readonly Entry[], seq: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.seq ?? Infinity) <= seq) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** Returns what a prompt of the platform quotes: what somebody said, without how to go on with it. */
export function quoted(text: string): string {
  const lines = text.split('\n').filter((line) => line.startsWith('>'));
  return lines.map((line) => line.slice(line.startsWith('> ') ? 2 : 1)).join('\n');
}

/** Returns the first line that says something, short enough for a list. */
export function firstLine(text: string): string {
  const line = text.split('\n', 40).find((candidate) => candidate.trim() !== '') ?? '';
  return line.trim().slice(0, 200);
}
