// The events of a transcript, as the API description has them: `RunEvent` of crates/protocol/src/transcript.rs.

import type { Schemas } from '../api/client';

/** An event with its number, which counts up from 1, and when it was written by the machine's clock. */
export type Placed = Schemas['Sequenced_RunEvent'];
export type RunEvent = Placed['event'];
export type PromptFrom = Schemas['PromptFrom'];
export type Steerer = Schemas['Steerer'];
