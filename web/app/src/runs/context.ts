import { createContext, useContext } from 'react';
import type { Answer } from '../agents/answer';
import type { Run } from '../api/queries';
import type { QuestionEntry } from './fold';

/** The run a page is about, for the entries of its transcript. */
export interface RunContext {
  run: Run;
  /** Whether its program is there, so that its questions can be answered. */
  isLive: boolean;
  answer: (question: QuestionEntry, answer: Answer) => void;
  /** The questions whose answers are on their way. */
  answering: ReadonlySet<string>;
  /** Leads to an event, and puts it into the address. */
  goToLine: (seq: number) => void;
}

export const RunContext = createContext<RunContext | undefined>(undefined);

export function useRun(): RunContext {
  const context = useContext(RunContext);
  if (!context) throw new Error('this belongs into the page of a run');
  return context;
}
