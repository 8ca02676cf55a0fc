import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { pastRuns, type Agent, type Room } from '../api/queries';
import { Dialog } from '../ui/dialog';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { Ago } from '../ui/time';

interface PastRunsProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  agent: Agent;
  room: Room;
}

/** The latest runs of a role, with how each ended. */
export function PastRuns({ open, onOpenChange, agent, room }: PastRunsProps) {
  const runs = useQuery({ ...pastRuns(room.chatroomId, agent.role), enabled: open });
  return (
    <Dialog open={open} onOpenChange={onOpenChange} wide title={`Runs of ${agent.role}`}>
      {runs.isPending && <Skeleton />}
      {runs.isError && <Problem error={runs.error} retry={() => void runs.refetch()} />}
      {runs.data?.length === 0 && <p className="text-quiet">It has not run yet.</p>}
      {runs.data && runs.data.length > 0 && (
        <ul className="rounded-md border border-line">
          {runs.data.map((run) => (
            <li key={run.runId} className="border-line not-first:border-t">
              <Link
                to="/rooms/$roomId/runs/$runId"
                params={{ roomId: room.chatroomId, runId: run.runId }}
                className="grid grid-cols-[1fr_auto] gap-x-4 px-3 py-1.5 hover:bg-hover"
              >
                <span className="truncate">
                  {run.model ? `${run.tool} · ${run.model}` : run.tool}
                  <span className="text-quiet"> {run.exitedAt == null ? 'runs now' : run.exit}</span>
                </span>
                <Ago at={run.createdAt} className="text-quiet" />
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
