// The page of a run that is driven through its tool's protocol: head, transcript, outline and foot.

import { useNavigate } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { useKeys } from '../frame/keys';
import { IconButton } from '../ui/button';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { RunContext } from './context';
import type { Entry, QuestionEntry } from './fold';
import { useFolds } from './folds';
import { RunFoot } from './foot';
import { RunHead } from './head';
import { TranscriptList, type ListHandle } from './list';
import { Outline } from './outline';
import type { RunPageProps } from './run';
import { TranscriptSearch } from './search';
import { useAnswers, useSteering } from './steer';
import { Transcript } from './transcript';
import { Waiting } from './waiting';

/** What is open before anybody says so: what changes files, and what waits for an answer. */
const openAtFirst = (entry: Entry): boolean =>
  (entry.kind === 'call' && /edit|write|patch/i.test(entry.name)) || (entry.kind === 'question' && !entry.closed);

export function Managed({ run, agent, machine, line }: RunPageProps & { line: number | undefined }) {
  const [transcript] = useState(() => new Transcript(run.runId));
  const view = useSyncExternalStore(transcript.subscribe, transcript.snapshot);
  const folds = useFolds(openAtFirst);
  const steering = useSteering(run);
  const { answer, answering } = useAnswers(run);
  const list = useRef<ListHandle>(null);
  // What is in view changes with every step of a scroll; the page is drawn anew only when that matters to it.
  const inView = useRef({ first: 0, last: 0 });
  const [turn, setTurn] = useState(0);
  const [isSeen, setSeen] = useState(false);
  const [searching, setSearching] = useState(false);
  const asked = useRef(line);
  useEffect(() => {
    void transcript.open(asked.current);
    return () => transcript.close();
  }, [transcript]);

  const isWhole = view.atStart || view.turns[0]?.seq === 1;
  const isLive = run.exitedAt == null && agent !== undefined;
  const navigate = useNavigate();
  const { chatroomId: roomId, runId } = run;
  const goToLine = useCallback(
    (seq: number) =>
      void navigate({ to: '/rooms/$roomId/runs/$runId', params: { roomId, runId }, search: { line: seq }, replace: true }),
    [navigate, roomId, runId],
  );
  const context = useMemo(
    () => ({ run, isLive, answer, answering, goToLine }),
    [run, isLive, answer, answering, goToLine],
  );
  const goTo = useCallback((seq: number) => list.current?.goTo(seq), []);
  const question = isLive ? view.entries.findLast((entry) => entry.kind === 'question' && !entry.closed) : undefined;
  const open = question as QuestionEntry | undefined;
  const latest = useRef({ turns: view.turns, open });
  latest.current = { turns: view.turns, open };
  const look = useCallback((now = inView.current) => {
    inView.current = now;
    const { turns, open } = latest.current;
    setTurn(turns.findLast(({ seq }) => seq <= now.first)?.seq ?? 0);
    setSeen(open !== undefined && now.first <= open.seq && open.seq <= now.last);
  }, []);
  useEffect(() => look(), [look, view.turns, open?.seq]);

  // Nobody allows with one key what they do not see: the first press shows it.
  const say = (word: 'allow' | 'deny') => () => {
    if (!open || answering.has(open.permissionId)) return;
    if (isSeen) answer(open, word);
    else goTo(open.seq);
  };
  const interrupt = () => {
    if (!steering.interrupt.busy) steering.interrupt();
  };
  useKeys('In a run', {
    ...(open && {
      a: { does: 'Allow what the agent asks', call: say('allow') },
      d: { does: 'Deny it', call: say('deny') },
    }),
    ...(isLive && { i: { does: 'Interrupt the turn', call: interrupt } }),
    '/': { does: 'Search the transcript', call: () => setSearching(true) },
  });

  return (
    <RunContext value={context}>
      <RunHead
        run={run}
        agent={agent}
        machine={machine}
        turns={view.turns}
        isWhole={isWhole}
        steering={steering}
      >
        <IconButton size="small" label="Search the transcript (/)" onClick={() => setSearching(!searching)}>
          <Search size={14} />
        </IconButton>
      </RunHead>
      {searching && <TranscriptSearch runId={run.runId} goTo={goTo} close={() => setSearching(false)} />}
      <div className="flex min-h-0 grow">
        <div className="flex min-w-0 grow flex-col">
          {view.state === 'opening' && <Skeleton rows={10} />}
          {view.state === 'failed' && (
            <div className="p-4">
              <Problem error={view.error} retry={() => void transcript.open(line)} />
            </div>
          )}
          {view.state === 'open' && view.entries.length === 0 && (
            <Empty title={isLive ? 'Nothing yet' : 'This run left nothing to read'}>
              <p className="text-quiet">
                {isLive ? `What ${run.role} says and does appears here as it happens.` : (run.exit ?? 'It ended before it wrote anything.')}
              </p>
            </Empty>
          )}
          {view.state === 'open' && view.entries.length > 0 && (
            <TranscriptList transcript={transcript} view={view} folds={folds} line={line} handle={list} onShown={look} />
          )}
          {open && !isSeen && <Waiting question={open} show={() => goTo(open.seq)} />}
          {agent && isLive && <RunFoot run={run} agent={agent} steering={steering} onSent={() => list.current?.goToEnd()} />}
        </div>
        <Outline turns={view.turns} isWhole={isWhole} current={turn} goTo={goTo} />
      </div>
    </RunContext>
  );
}
