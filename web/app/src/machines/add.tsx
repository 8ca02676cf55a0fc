import { useMutation } from '@tanstack/react-query';
import { api, unwrap } from '../api/client';
import { Button } from '../ui/button';
import { Commands } from '../ui/copy';
import { Problem } from '../ui/problem';
import { useNow } from '../ui/time';

/** How a computer becomes a machine: the line that joins it, made when it is wanted, because it holds a code. */
export function AddMachine() {
  const enrol = useMutation({ mutationFn: () => unwrap(api.POST('/api/enrolments')) });
  const now = useNow();
  const left = enrol.data ? Math.round((enrol.data.expiresAt - now) / 60_000) : 0;
  return (
    <div className="flex w-full flex-col items-start gap-2">
      <p className="text-quiet">
        Run one line in a terminal on the computer. It fetches chatroom from this server, registers the computer as yours, and
        says what comes next: the folder agents may work in, and starting its daemon.
      </p>
      {enrol.data && left > 0 && (
        <>
          <Commands lines={enrol.data.line} className="w-full" />
          <p className="text-quiet">
            It works once, within {left} {left === 1 ? 'minute' : 'minutes'}. The machine appears here by itself.
          </p>
        </>
      )}
      {enrol.isError && <Problem error={enrol.error} />}
      {(!enrol.data || left <= 0) && (
        <Button look="main" busy={enrol.isPending} onClick={() => enrol.mutate()}>
          {enrol.data ? 'Make a new line' : 'Show the line'}
        </Button>
      )}
    </div>
  );
}
