// The page of a run in a terminal: the terminal itself while its program is there, its recording afterwards.

import { useState } from 'react';
import { RunHead } from './head';
import { LiveTerminal } from './live-terminal';
import { Recording } from './recording';
import type { RunPageProps } from './run';
import { useSteering } from './steer';

export function TerminalPage({ run, agent, machine }: RunPageProps) {
  const steering = useSteering(run);
  // What was on screen when the program ended stays there.
  const [isLive] = useState(run.exitedAt == null);
  return (
    <>
      <RunHead run={run} agent={agent} machine={machine} turns={[]} isWhole steering={steering} />
      {isLive ? <LiveTerminal run={run} /> : <Recording runId={run.runId} />}
    </>
  );
}
