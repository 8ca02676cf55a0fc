// One machine: what it is, what it did, and the far-reaching things that can be done to it, apart from the rest.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { Pencil } from 'lucide-react';
import { useRef, useState, type ReactNode } from 'react';
import { command, settled } from '../agents/command';
import { api, unwrap } from '../api/client';
import { commands, keys, liveRuns, machine as machineQuery, rooms, type Command, type Machine } from '../api/queries';
import { PageHead } from '../frame/frame';
import { useKeys, useRows } from '../frame/keys';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { Commands as Lines, Copy, shortIds } from '../ui/copy';
import { Confirm } from '../ui/dialog';
import { Problem } from '../ui/problem';
import { Rename } from '../ui/rename';
import { Skeleton } from '../ui/states';
import { OnlineDot } from '../ui/status';
import { Ago, duration } from '../ui/time';

export function MachinePage() {
  const { machineId } = useParams({ from: '/inside/machines/$machineId' });
  const found = useQuery(machineQuery(machineId));
  if (found.isError) {
    return (
      <div className="mx-auto w-full max-w-[560px] p-6">
        <Problem error={found.error} retry={() => void found.refetch()} />
      </div>
    );
  }
  return found.data ? <Inside key={machineId} machine={found.data} /> : <Skeleton rows={8} />;
}

function Inside({ machine }: { machine: Machine }) {
  const [renaming, setRenaming] = useState(false);
  const navigate = useNavigate();
  useKeys('On the page of a machine', {
    Escape: { does: 'Back to the machines', call: () => void navigate({ to: '/machines' }) },
  });
  const ping = useAct(async () => {
    await settled(await command(machine.machineId, 'ping'));
  }, `${machine.alias} answered`);
  return (
    <>
      <PageHead title={machine.alias} about={<OnlineDot online={machine.daemonConnected} />}>
        <IconButton label="Rename" size="small" onClick={() => setRenaming(true)}>
          <Pencil size={14} />
        </IconButton>
        <Button busy={ping.busy} disabled={!machine.daemonConnected} onClick={() => ping()}>
          Ping
        </Button>
      </PageHead>
      <div className="min-h-0 grow overflow-y-auto">
        <div className="mx-auto flex w-full max-w-[960px] flex-col gap-6 p-4">
          <Trouble machine={machine} />
          <Facts machine={machine} />
          <Running machine={machine} />
          <Tools machine={machine} />
          <History machine={machine} />
          <FarReaching machine={machine} />
        </div>
      </div>
      <Rename
        open={renaming}
        onOpenChange={setRenaming}
        title="Rename the machine"
        name={machine.alias}
        most={80}
        rename={(alias) =>
          unwrap(api.PATCH('/api/machines/{machineId}', { params: { path: { machineId: machine.machineId } }, body: { alias } }))
        }
      />
    </>
  );
}

function Trouble({ machine }: { machine: Machine }) {
  if (machine.lockedAt != null) {
    return (
      <Box>
        <p className="font-medium text-red">
          Locked <Ago at={machine.lockedAt} />: its home was used from two places, or an old copy of it was put back.
        </p>
        <p>On the right computer, signed in, run:</p>
        <Lines lines="chatroom machine unlock" />
      </Box>
    );
  }
  if (machine.upgrade) {
    return (
      <Box>
        <p className="font-medium">Its daemon was refused.</p>
        <p>{machine.upgrade}</p>
      </Box>
    );
  }
  if (machine.daemonConnected) return null;
  return (
    <Box>
      <p>
        Its daemon is not connected since <Ago at={machine.lastSeenAt} />. On it, run:
      </p>
      <Lines lines="chatroom machine daemon start" />
    </Box>
  );
}

const Box = ({ children }: { children: ReactNode }) => (
  <div className="flex flex-col gap-2 rounded-md border border-line bg-amber-soft p-3">{children}</div>
);

function Facts({ machine }: { machine: Machine }) {
  const facts: [string, ReactNode][] = [
    ['Host name', machine.hostname],
    ['Operating system', machine.os],
    ['Daemon', machine.daemonVersion ? `${machine.daemonVersion}, started ${times(machine.epoch)}` : 'has not connected yet'],
    ['Last seen', <Ago key="seen" at={machine.lastSeenAt} />],
    ['Registered', <Ago key="registered" at={machine.registeredAt} />],
    ['Machine id', <Copy key="id" text={machine.machineId} />],
  ];
  return (
    <dl className="grid grid-cols-[136px_1fr] gap-y-1">
      {facts.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-quiet">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`);

function Running({ machine }: { machine: Machine }) {
  const { data: runs } = useQuery(liveRuns(machine.machineId));
  const { data: known } = useQuery(rooms);
  if (!runs?.length) return null;
  return (
    <section>
      <h2 className="mb-2 font-semibold">Running here</h2>
      <ul className="rounded-md border border-line bg-panel">
        {runs.map((run) => (
          <li key={run.runId} className="border-line not-first:border-t">
            <Link
              to="/rooms/$roomId/runs/$runId"
              params={{ roomId: run.chatroomId, runId: run.runId }}
              className="flex flex-wrap items-center gap-x-3 px-3 py-1.5 hover:bg-hover"
            >
              <span className="font-medium">{run.role}</span>
              <span className="text-quiet">{known?.find((room) => room.chatroomId === run.chatroomId)?.name}</span>
              <span className="text-quiet">{run.model ? `${run.tool} · ${run.model}` : run.tool}</span>
              <span className="min-w-0 grow truncate font-mono text-sm text-quiet">{run.workingDir}</span>
              <Ago at={run.createdAt} className="text-quiet" />
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Tools({ machine }: { machine: Machine }) {
  return (
    <section>
      <h2 className="mb-2 font-semibold">Agent programs</h2>
      {machine.tools.length === 0 && <p className="text-quiet">The daemon has not looked yet.</p>}
      <ul className="flex flex-wrap gap-2">
        {machine.tools.map((tool) => (
          <li key={tool.tool} className="rounded-md border border-line bg-panel px-2.5 py-1">
            <span className="font-medium">{tool.tool}</span>{' '}
            <span className="text-quiet">
              {tool.presence === 'installed' ? (tool.version ?? 'installed') : tool.presence === 'missing' ? 'not found' : 'found, but does not answer'}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const WORDS: Record<string, string> = {
  'start-agent': 'Start',
  'stop-agent': 'Stop',
  'restart-agent': 'Restart',
  ping: 'Ping',
  status: 'Status',
};
const OUTCOMES: Record<string, string> = {
  pending: 'text-quiet',
  processing: 'text-blue',
  completed: 'text-accent',
  failed: 'text-red',
  expired: 'text-amber',
};

function History({ machine }: { machine: Machine }) {
  const sent = useQuery(commands(machine.machineId));
  const list = useRef<HTMLUListElement>(null);
  useRows('In the commands', { box: list, count: sent.data?.length ?? 0 });
  const { data: known } = useQuery(rooms);
  return (
    <section>
      <h2 className="mb-2 font-semibold">Commands</h2>
      {sent.isPending && <Skeleton />}
      {sent.isError && <Problem error={sent.error} retry={() => void sent.refetch()} />}
      {sent.data?.length === 0 && <p className="text-quiet">None was sent yet.</p>}
      {sent.data && sent.data.length > 0 && (
        <ul ref={list} className="rounded-md border border-line bg-panel">
          {sent.data.map((one, at) => (
            <li key={one.commandId} data-row={at} tabIndex={-1} className="grid grid-cols-[1fr_auto] gap-x-4 border-line px-3 py-1.5 not-first:border-t">
              <span className="min-w-0">
                <span className="font-medium">{WORDS[one.type] ?? one.type}</span>{' '}
                {one.role && (
                  <span className="text-quiet">
                    {one.role}
                    {one.chatroomId && (
                      <>
                        {' in '}
                        <Link to="/rooms/$roomId" params={{ roomId: one.chatroomId }} className="underline">
                          {known?.find((room) => room.chatroomId === one.chatroomId)?.name ?? 'a room'}
                        </Link>
                      </>
                    )}
                  </span>
                )}
                {one.result && <span className="block text-sm text-quiet">{shortIds(one.result)}</span>}
              </span>
              <span className="text-right">
                <span className={OUTCOMES[one.status]}>{one.status}</span> <span className="text-quiet">{took(one)}</span>
                <Ago at={one.createdAt} className="block text-sm text-quiet" />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const took = (one: Command) => (one.processedAt == null ? '' : duration(one.processedAt - one.createdAt));

function FarReaching({ machine }: { machine: Machine }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [asking, setAsking] = useState<'revoke' | 'remove'>();
  const path = { params: { path: { machineId: machine.machineId } } };
  const rotate = useAct(() => unwrap(api.POST('/api/machines/{machineId}/credential/rotate', path)), 'The credential was replaced');
  return (
    <section className="flex flex-col gap-2">
      <h2 className="font-semibold">Credential</h2>
      <Far about="Replaces both halves of the credential. The machine stays connected.">
        <Button busy={rotate.busy} disabled={!machine.daemonConnected} onClick={() => rotate()}>
          Replace
        </Button>
      </Far>
      <Far about="Whatever was issued to it stops working at once, and its tunnel closes. Its agents end when their leases do.">
        <Button look="danger" onClick={() => setAsking('revoke')}>
          Revoke
        </Button>
      </Far>
      <Far about="Revokes it, and removes it with what was set up on it. Rooms and transcripts stay.">
        <Button look="danger" onClick={() => setAsking('remove')}>
          Remove the machine
        </Button>
      </Far>
      <Confirm
        open={asking === 'revoke'}
        onOpenChange={(open) => !open && setAsking(undefined)}
        title={`Revoke the credential of ${machine.alias}`}
        about="To let the machine in again, run there, signed in: chatroom machine unlock"
        verb="Revoke"
        typed={machine.alias}
        act={() => unwrap(api.POST('/api/machines/{machineId}/credential', path))}
      />
      <Confirm
        open={asking === 'remove'}
        onOpenChange={(open) => !open && setAsking(undefined)}
        title={`Remove ${machine.alias}`}
        about="Its credential and its tunnel end, what was set up on it goes, and its roles are free. This cannot be undone."
        verb="Remove"
        typed={machine.alias}
        act={async () => {
          await unwrap(api.DELETE('/api/machines/{machineId}', path));
          await navigate({ to: '/machines' });
          await queries.invalidateQueries({ queryKey: keys.machines });
        }}
      />
    </section>
  );
}

const Far = ({ about, children }: { about: string; children: ReactNode }) => (
  <div className="flex flex-wrap items-center gap-3 rounded-md border border-line p-3">
    <p className="min-w-60 grow text-quiet">{about}</p>
    {children}
  </div>
);
