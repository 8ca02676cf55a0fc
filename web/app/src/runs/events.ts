// The events of a transcript, as they travel: `RunEvent` of crates/protocol/src/transcript.rs.

import type { Schemas } from '../api/client';

export interface Steerer {
  userId: string;
  name: string;
}

export type PromptFrom =
  | { kind: 'task' | 'reminder'; taskId: string }
  | { kind: 'follow_up'; by?: Steerer }
  | { kind: 'unknown' };

export type RunEvent =
  | { type: 'prompt_sent'; promptId: string; from?: PromptFrom; text?: string }
  | { type: 'turn_ended'; promptId: string; outcome: Schemas['TurnOutcome']; detail?: string }
  | { type: 'message' | 'thought'; text: string; block?: number }
  | { type: 'tool_call'; id: string; name: string; input: string }
  | { type: 'tool_result'; id: string; output: string; isError: boolean }
  | { type: 'permission_asked'; permissionId: string; title: string; input: string; always?: string; digest: string }
  | { type: 'permission_repeated'; permissionId: string; title: string; input: string }
  | {
      type: 'permission_closed';
      permissionId: string;
      outcome: Schemas['PermissionOutcome'];
      by?: Steerer;
      scope?: Schemas['PermissionScope'];
    }
  | { type: 'interrupt_asked' | 'stop_asked'; by?: Steerer }
  | { type: 'usage'; inputTokens: number; outputTokens: number }
  | { type: 'notice'; text: string }
  | { type: 'terminal_opened'; width: number; height: number }
  | { type: 'terminal_frame'; frame: [seconds: number, code: string, data: string] }
  | { type: 'exited'; code?: number; signal?: number; reason: string; requested: boolean }
  // What tells a reader nothing: processes, ids of the tool, activity, and whatever a newer version writes.
  | { type: 'tool_started' | 'activity' | 'prompt_started' | 'session' | 'unknown' };

export interface Placed {
  /** Counts up from 1. */
  seq: number;
  /** When it was written, by the machine's clock. */
  at: number;
  event: RunEvent;
}
