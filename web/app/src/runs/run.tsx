// A run: what its agent did and does, and the ways to steer it.

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { ApiError } from '../api/client';
import { agents, machines, run as runQuery, type Agent, type Machine, type Run } from '../api/queries';
import { NotFound, PageHead } from '../frame/frame';
import { useKeys } from '../frame/keys';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { Managed } from './managed';

// A terminal is large, and most runs have none.
const Terminal = lazy(() => import('./terminal-page').then((module) => ({ default: module.TerminalPage })));

export interface RunPageProps {
  run: Run;
  agent: Agent | undefined;
  machine: Machine;
}

export function RunPage() {
  const { roomId, runId } = useParams({ from: '/inside/rooms/$roomId/runs/$runId' });
  const { line } = useSearch({ from: '/inside/rooms/$roomId/runs/$runId' });
  const navigate = useNavigate();
  const run = useQuery(runQuery(runId));
  const room = useQuery(agents(roomId));
  const own = useQuery(machines);
  useKeys('On the page of a run', {
    Escape: { does: 'Back to the room', call: () => void navigate({ to: '/rooms/$roomId', params: { roomId } }) },
  });
  const failed = [run, room, own].find((query) => query.isError && !query.data);
  if (failed) {
    if (failed.error instanceof ApiError && failed.error.problem.status === 404) return <NotFound />;
    return (
      <div className="p-4">
        <Problem error={failed.error} retry={() => void failed.refetch()} />
      </div>
    );
  }
  if (!run.data || !room.data || !own.data) return <Skeleton rows={8} />;
  const machine = own.data.find((candidate) => candidate.machineId === run.data.machineId);
  if (!machine) return <NotYours run={run.data} />;
  const latest = room.data.find((candidate) => candidate.role === run.data.role);
  const agent = latest?.run?.runId === runId ? latest : undefined;
  const props = { run: run.data, agent, machine };
  return (
    <>
      {!agent && latest?.run && <Newer run={latest.run} />}
      {run.data.form === 'terminal' ? (
        <Suspense fallback={<Skeleton rows={8} />}>
          <Terminal key={runId} {...props} />
        </Suspense>
      ) : (
        <Managed key={runId} {...props} line={line} />
      )}
    </>
  );
}

/** A transcript holds whatever the agent saw on its machine, so it is for that machine's user alone. */
function NotYours({ run }: { run: Run }) {
  return (
    <>
      <PageHead title={run.role} about={`${run.tool} on somebody else’s machine`} />
      <Empty title="This run is on somebody else’s machine">
        <p className="text-quiet">
          A transcript shows whatever the agent saw there, so only the person whose machine it is can read it. What {run.role} tells
          the room is in the room.
        </p>
        <div>
          <Button asChild look="main">
            <Link to="/rooms/$roomId" params={{ roomId: run.chatroomId }}>
              Go to the room
            </Link>
          </Button>
        </div>
      </Empty>
    </>
  );
}

function Newer({ run }: { run: Run }) {
  return (
    <p className="flex flex-wrap items-center justify-center gap-x-2 border-b border-line bg-sunken px-3 py-1.5 text-quiet">
      This is an earlier run of {run.role}.
      <Link
        to="/rooms/$roomId/runs/$runId"
        params={{ roomId: run.chatroomId, runId: run.runId }}
        className="text-accent underline"
      >
        Open the latest
      </Link>
    </p>
  );
}
