// What a button sets off: busy while it goes on, told when it fails, never twice at once, and taken back where it can be.

import { useMutation } from '@tanstack/react-query';
import { toast } from 'sonner';
import { ApiError } from '../api/client';

export interface Act<A> {
  (argument: A): void;
  busy: boolean;
  /** What it is doing it to. */
  with: A | undefined;
}

/** What is said of an action that succeeded, and how it is taken back. */
export type Done = string | { said: string; undo: () => Promise<unknown>; undoing?: string };

/**
 * Makes an action of a function; what it says when it succeeds is shown for a moment. By then the page may show what came
 * of it: what was before, the function returns.
 */
export function useAct<A = void, R = unknown>(
  act: (argument: A) => Promise<R>,
  done?: Done | ((argument: A, result: R) => Done),
): Act<A> {
  const mutation = useMutation({
    mutationFn: act,
    onError: tell,
    onSuccess: (result, argument) => {
      if (done) say(typeof done === 'function' ? done(argument, result) : done);
    },
  });
  return Object.assign((argument: A) => mutation.mutate(argument), {
    busy: mutation.isPending,
    with: mutation.isPending ? mutation.variables : undefined,
  });
}

/** Says what was done, long enough to take it back. */
export function say(done: Done): void {
  if (typeof done === 'string') return void toast(done);
  const { said, undo, undoing = 'Undo' } = done;
  toast(said, { duration: 10_000, action: { label: undoing, onClick: () => void undo().catch(tell) } });
}

/** Shows an error that belongs to no place on the page. */
export function tell(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof ApiError ? error.code : undefined;
  toast.error(message, { duration: 10_000, ...(code ? { description: `Code ${code}` } : {}) });
}
