// What a button sets off: busy while it goes on, told when it fails, never twice at once.

import { useMutation } from '@tanstack/react-query';
import { toast } from 'sonner';
import { ApiError } from '../api/client';

export interface Act<A> {
  (argument: A): void;
  busy: boolean;
  /** What it is doing it to. */
  with: A | undefined;
}

/** Makes an action of a function; what it says when it succeeds is shown for a moment. */
export function useAct<A = void>(act: (argument: A) => Promise<unknown>, done?: string | ((argument: A) => string)): Act<A> {
  const mutation = useMutation({
    mutationFn: act,
    onError: tell,
    onSuccess: (_, argument) => {
      if (done) toast(typeof done === 'function' ? done(argument) : done);
    },
  });
  return Object.assign((argument: A) => mutation.mutate(argument), {
    busy: mutation.isPending,
    with: mutation.isPending ? mutation.variables : undefined,
  });
}

/** Shows an error that belongs to no place on the page. */
export function tell(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof ApiError ? error.code : undefined;
  toast.error(message, { duration: 10_000, ...(code ? { description: `Code ${code}` } : {}) });
}
