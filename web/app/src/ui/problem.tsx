import { TriangleAlert } from 'lucide-react';
import { ApiError } from '../api/client';
import { Button } from './button';
import { Copy } from './copy';

/** What went wrong, in the server's words, with the code one can copy. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const known = error instanceof Error ? error : new Error(String(error));
  const problem = known instanceof ApiError ? known.problem : undefined;
  return (
    <div role="alert" className="flex items-start gap-2 rounded-md border border-red/50 bg-red-soft px-3 py-2">
      <TriangleAlert size={16} className="mt-0.5 shrink-0 text-red" aria-hidden />
      <div className="grow">
        <p>{known.message}</p>
        {problem && (
          <p className="mt-0.5 flex flex-wrap items-center gap-x-1 text-sm text-quiet">
            <span>Code</span>
            <Copy text={problem.requestId ? `${problem.code} ${problem.requestId}` : problem.code} shown={problem.code} />
          </p>
        )}
      </div>
      {retry && (
        <Button size="small" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}
