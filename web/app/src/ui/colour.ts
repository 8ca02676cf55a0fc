// Colouring code when there is time for it, one piece after another, and what was coloured lately.

import type { Token } from './highlight';

interface Job {
  code: string;
  language: string;
  done: (lines: Token[][]) => void;
}

/** How many pieces of code are remembered. */
const MOST = 300;
/** Colours may come later than the code, but not much. */
const PATIENCE = { timeout: 1000 };

const known = new Map<string, Token[][]>();
const jobs = new Set<Job>();
let isBusy = false;

const keyOf = (code: string, language: string) => `${language}\n${code}`;

export const colouredBefore = (code: string, language: string) => known.get(keyOf(code, language));

/** Colours code soon, unless its language is not known. Returns how to do without. */
export function colour(code: string, language: string, done: Job['done']): () => void {
  const job = { code, language, done };
  jobs.add(job);
  if (!isBusy) void work();
  return () => void jobs.delete(job);
}

async function work(): Promise<void> {
  isBusy = true;
  // Large, so it is loaded with the first code that is shown.
  const highlight = await import('./highlight').then((module) => module.highlight).catch(() => undefined);
  for (const job of jobs) {
    await idle();
    if (!jobs.delete(job)) continue;
    const key = keyOf(job.code, job.language);
    const lines = known.get(key) ?? highlight?.(job.code, job.language);
    if (!lines) continue;
    known.set(key, lines);
    const [oldest] = known.keys();
    if (known.size > MOST && oldest !== undefined) known.delete(oldest);
    job.done(lines);
  }
  isBusy = false;
}

const idle = () =>
  new Promise<void>((resolve) => {
    if (typeof requestIdleCallback === 'undefined') setTimeout(resolve, 16);
    else requestIdleCallback(() => resolve(), PATIENCE);
  });
