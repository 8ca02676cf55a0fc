// The head of a run: which agent, how it is, where it works, and what it used.

import { Link } from '@tanstack/react-router';
import { ArrowLeft, Play, RotateCw, Square } from 'lucide-react';
import type { ReactNode } from 'react';
import { sentence } from '../api/client';
import type { Agent, Machine, Run } from '../api/queries';
import { Button } from '../ui/button';
import { Copy } from '../ui/copy';
import { StatusWord } from '../ui/status';
import { Ago, duration, useNow } from '../ui/time';
import type { Turn } from './fold';
import type { Steering } from './steer';
import { short } from './summary';

interface HeadProps {
  run: Run;
  /** The agent, where this is its latest run. */
  agent: Agent | undefined;
  machine: Machine;
  turns: readonly Turn[];
  /** Whether all turns are known. */
  isWhole: boolean;
  steering: Steering;
  children?: ReactNode;
}

export function RunHead({ run, agent, machine, turns, isWhole, steering, children }: HeadProps) {
  const isLive = run.exitedAt == null;
  const { command } = steering;
  // That a terminal shows what it does is plain where the terminal is shown.
  const why = isLive && !(run.form === 'terminal' && agent?.status === 'working') ? agent?.reason : undefined;
  return (
    <header className="shrink-0 border-b border-line px-3 py-2 md:px-4">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <Link
          to="/rooms/$roomId"
          params={{ roomId: run.chatroomId }}
          aria-label="Back to the room"
          title="Back to the room (Esc)"
          className="flex h-8 w-8 items-center justify-center rounded-md text-quiet hover:bg-hover hover:text-ink pointer-coarse:h-10 pointer-coarse:w-10"
        >
          <ArrowLeft size={16} aria-hidden />
        </Link>
        <h1 className="text-lg font-semibold">{run.role}</h1>
        {agent && isLive ? <StatusWord status={agent.status} /> : <Ended run={run} />}
        <div className="ml-auto flex items-center gap-1">
          {children}
          {isLive && agent && (
            <>
              <Button size="small" busy={command.with === 'restart-agent'} onClick={() => command('restart-agent')}>
                <RotateCw size={14} aria-hidden />
                Restart
              </Button>
              <Button
                size="small"
                look="danger"
                busy={command.with === 'stop-agent'}
                disabled={agent.status === 'stopping'}
                onClick={() => command('stop-agent')}
              >
                <Square size={14} aria-hidden />
                Stop
              </Button>
            </>
          )}
          {!isLive && agent && (
            <Button size="small" busy={command.busy} onClick={() => command('start-agent')}>
              <Play size={14} aria-hidden />
              Start again
            </Button>
          )}
        </div>
      </div>
      <dl className="mt-1 flex flex-wrap gap-x-4 gap-y-0.5 text-sm text-quiet md:pl-11">
        <Fact name="Tool">{run.model ? `${run.tool} · ${run.model}` : run.tool}</Fact>
        <Fact name="Machine">
          <Link to="/machines/$machineId" params={{ machineId: machine.machineId }} className="hover:underline">
            {machine.alias}
          </Link>
        </Fact>
        <Fact name="Directory" className="min-w-0 truncate font-mono">
          {run.workingDir}
        </Fact>
        <Fact name="Duration">
          <Duration run={run} />
        </Fact>
        <Tokens turns={turns} isWhole={isWhole} />
        <Fact name="Run" className="max-md:hidden">
          <Copy text={run.runId} shown={`…${run.runId.slice(-6)}`} />
        </Fact>
      </dl>
      {why && <p className="mt-1 text-sm text-quiet md:pl-11">{sentence(why)}</p>}
    </header>
  );
}

function Ended({ run }: { run: Run }) {
  if (run.exitedAt == null) return <StatusWord status="unknown" />;
  return (
    <span className="min-w-0 truncate text-quiet">
      Ended <Ago at={run.exitedAt} />
      {run.exit && `: ${run.exit}`}
    </span>
  );
}

function Fact({ name, className, children }: { name: string; className?: string; children: ReactNode }) {
  return (
    <div className={className} title={name}>
      <dt className="sr-only">{name}</dt>
      <dd className="inline">{children}</dd>
    </div>
  );
}

function Duration({ run }: { run: Run }) {
  return run.exitedAt == null ? <Running since={run.createdAt} /> : <>{duration(run.exitedAt - run.createdAt)}</>;
}

function Running({ since }: { since: number }) {
  const now = useNow();
  return <>{duration(Math.floor(Math.max(0, now - since) / 1000) * 1000).replace('.0 s', ' s')}</>;
}

function Tokens({ turns, isWhole }: { turns: readonly Turn[]; isWhole: boolean }) {
  const input = turns.reduce((sum, turn) => sum + (turn.usage?.input ?? 0), 0);
  const output = turns.reduce((sum, turn) => sum + (turn.usage?.output ?? 0), 0);
  if (input + output === 0) return null;
  return (
    <div title={`${input} tokens read, ${output} written${isWhole ? '' : ', in the turns that were loaded'}`}>
      <dt className="sr-only">Tokens</dt>
      <dd className="inline">
        {isWhole ? '' : 'at least '}
        {short(input)} tokens in, {short(output)} out
      </dd>
    </div>
  );
}
