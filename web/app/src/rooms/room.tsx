// A room: what was said, what waits, and the agents beside it.

import { useQuery, useSuspenseQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { Bot, X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useState } from 'react';
import { agents, me, messages, room as roomQuery, tasks } from '../api/queries';
import { PageHead } from '../frame/frame';
import { Agents } from '../agents/agents';
import { Button, IconButton } from '../ui/button';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { StatusMark } from '../ui/status';
import { Ago } from '../ui/time';
import { Composer } from './composer';
import { RoomMenu } from './menu';
import { Queue } from './queue';
import { Timeline } from './timeline';

export function RoomPage() {
  const { roomId } = useParams({ from: '/inside/rooms/$roomId' });
  const room = useQuery(roomQuery(roomId));
  if (room.isError) {
    return (
      <div className="mx-auto w-full max-w-[560px] p-6">
        <Problem error={room.error} retry={() => void room.refetch()} />
      </div>
    );
  }
  // Keyed, so that nothing of one room is left in the next: a draft, a filter, a place in the history.
  return room.data ? <Inside key={roomId} roomId={roomId} /> : <Skeleton rows={8} />;
}

function Inside({ roomId }: { roomId: string }) {
  const { data: room } = useSuspenseQuery(roomQuery(roomId));
  const { data: person } = useSuspenseQuery(me);
  const said = useQuery(messages(roomId));
  const { data: work } = useQuery(tasks(roomId));
  const { data: roles } = useQuery(agents(roomId));
  const [only, setOnly] = useState<string>();
  const [sheet, setSheet] = useState(false);
  return (
    <>
      <PageHead title={room.name} about={`${room.roles.length} ${room.roles.length === 1 ? 'role' : 'roles'}`}>
        <label className="flex items-center gap-1.5 text-quiet max-sm:sr-only">
          Show
          <select
            value={only ?? ''}
            onChange={(event) => setOnly(event.target.value || undefined)}
            className="h-7 rounded-md border border-line-strong bg-panel px-1.5 text-ink"
          >
            <option value="">everyone</option>
            <option value="user">people</option>
            {room.roles.map((role) => (
              <option key={role} value={role}>
                {role}
              </option>
            ))}
          </select>
        </label>
        <RoomMenu room={room} />
        <Button size="small" className="lg:hidden" onClick={() => setSheet(true)}>
          <Bot size={16} aria-hidden />
          Agents
          {roles?.map((agent) => <StatusMark key={agent.role} status={agent.status} />)}
        </Button>
      </PageHead>
      <div className="flex min-h-0 grow">
        <section aria-label="Messages" className="flex min-w-0 grow flex-col">
          <Timeline room={room} latest={said.data?.messages} error={said.error} tasks={work} only={only} />
          <div className="shrink-0 px-4 pb-4 max-sm:px-2 max-sm:pb-2">
            <div className="mx-auto flex max-w-[760px] flex-col gap-2">
              <Queue room={room} queue={said.data?.queue} me={person.userId} />
              {room.archivedAt == null ? (
                <Composer room={room} />
              ) : (
                <p className="rounded-md border border-line bg-sunken p-3 text-quiet">
                  This room is archived since <Ago at={room.archivedAt} />. To write here, bring it back: the menu above has it.
                </p>
              )}
            </div>
          </div>
        </section>
        <aside aria-label="Agents" className="hidden w-80 shrink-0 overflow-y-auto border-l border-line bg-sunken lg:block">
          <Agents room={room} />
        </aside>
      </div>
      <Dialog.Root open={sheet} onOpenChange={setSheet}>
        <Dialog.Portal>
          <Dialog.Overlay className="fixed inset-0 z-30 bg-[#0008]" />
          <Dialog.Content
            aria-describedby={undefined}
            className="fixed inset-x-0 bottom-0 z-30 max-h-[85dvh] overflow-y-auto rounded-t-md border-t border-line bg-sunken pb-[env(safe-area-inset-bottom)]"
          >
            <div className="flex items-center px-3 pt-2">
              <Dialog.Title className="grow text-lg font-semibold">Agents</Dialog.Title>
              <Dialog.Close asChild>
                <IconButton label="Close">
                  <X size={18} />
                </IconButton>
              </Dialog.Close>
            </div>
            <Agents room={room} />
          </Dialog.Content>
        </Dialog.Portal>
      </Dialog.Root>
    </>
  );
}
