import { useQuery, useSuspenseQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ArrowDown, ArrowRight } from 'lucide-react';
import { memo, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { api, unwrap } from '../api/client';
import { agents, me, members, type Message, type Room, type Task } from '../api/queries';
import { useAct } from '../ui/act';
import { Button } from '../ui/button';
import { cx } from '../ui/cx';
import { Prose } from '../ui/markdown';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { Clock } from '../ui/time';
import { Attachments } from './attachments';
import { useHistory } from './history';
import { useMarkRead } from './read';

interface TimelineProps {
  room: Room;
  latest: Message[] | undefined;
  error: unknown;
  tasks: Task[] | undefined;
  /** The role to show alone, or `user`. */
  only: string | undefined;
}

export function Timeline({ room, latest, error, tasks, only }: TimelineProps) {
  const history = useHistory(room.chatroomId, latest);
  const shown = only === undefined ? history.messages : history.messages.filter((message) => message.sender === only);
  const scroll = useScroll(shown);
  useMarkRead(room.chatroomId, latest?.at(-1), scroll.atEnd);
  const byId = useMemo(() => new Map(tasks?.map((task) => [task.taskId, task])), [tasks]);
  const who = useNames(room);
  if (error) {
    return (
      <div className="grow p-4">
        <Problem error={error} />
      </div>
    );
  }
  if (!latest) return <Skeleton rows={8} className="grow" />;
  return (
    <div className="relative min-h-0 grow">
      <div
        ref={scroll.box}
        onScroll={scroll.onScroll}
        className="h-full overflow-y-auto [overflow-anchor:none]"
        tabIndex={0}
        role="log"
        aria-label="Messages"
      >
        <div className="mx-auto flex max-w-[760px] flex-col gap-4 px-4 py-4 max-sm:px-3">
          {history.more && (
            <Button look="quiet" size="small" className="self-center" busy={history.loading} onClick={history.load}>
              Show earlier messages
            </Button>
          )}
          {history.error && <Problem error={history.error} />}
          {shown.length === 0 && <Nothing room={room} filtered={only !== undefined && history.messages.length > 0} />}
          {shown.map((message) => (
            <Said
              key={message.messageId}
              message={message}
              name={who(message)}
              task={message.taskId ? byId.get(message.taskId) : undefined}
              room={room}
            />
          ))}
        </div>
      </div>
      {scroll.missed > 0 && (
        <Button className="absolute bottom-3 left-1/2 -translate-x-1/2" size="small" onClick={scroll.toEnd}>
          {scroll.missed} new
          <ArrowDown size={14} aria-hidden />
        </Button>
      )}
    </div>
  );
}

/** Who a message is from, by name: a person's own, or the role's. */
function useNames(room: Room): (message: Message) => string {
  const { data: person } = useSuspenseQuery(me);
  const { data: known } = useQuery(members(room.instanceId));
  return (message) => {
    if (message.sender === 'system') return 'chatroom';
    if (message.sender !== 'user') return message.sender;
    if (message.userId === person.userId) return person.name;
    return known?.find((member) => member.userId === message.userId)?.name ?? 'a former member';
  };
}

/** Keeps the reader's place: at the end while they are there, else where they are, also when earlier messages come in. */
function useScroll(shown: Message[]) {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const before = useRef<{ first: string | undefined; last: string | undefined; height: number }>(undefined);
  const [missed, setMissed] = useState(0);
  const [there, setThere] = useState(true);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const first = shown[0]?.messageId;
    const last = shown.at(-1)?.messageId;
    const past = before.current;
    if (atEnd.current) element.scrollTop = element.scrollHeight;
    else if (past && past.first !== first && past.last === last) element.scrollTop += element.scrollHeight - past.height;
    else if (past && past.last !== last) {
      const at = shown.findIndex((message) => message.messageId === past.last);
      setMissed((count) => count + (at < 0 ? 0 : shown.length - 1 - at));
    }
    before.current = { first, last, height: element.scrollHeight };
  }, [shown]);
  return {
    box,
    missed,
    atEnd: there,
    onScroll: () => {
      const element = box.current;
      if (!element) return;
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
      setThere(atEnd.current);
      if (atEnd.current) setMissed(0);
    },
    toEnd: () => box.current?.scrollTo({ top: box.current.scrollHeight, behavior: 'smooth' }),
  };
}

function Nothing({ room, filtered }: { room: Room; filtered: boolean }) {
  if (filtered) return <p className="text-center text-quiet">Nothing of that in what is loaded.</p>;
  return (
    <Empty title="Nothing was said here yet">
      <p className="text-quiet">
        What you write below becomes a task of {room.entry}. Start its agent first, or let it wait: the task stays until
        somebody takes it.
      </p>
    </Empty>
  );
}

const STATES: Record<string, string> = {
  pending: 'waits for its agent',
  acknowledged: 'taken',
  in_progress: 'in work',
  completed: 'done',
};

interface SaidProps {
  message: Message;
  name: string;
  task: Task | undefined;
  room: Room;
}

const Said = memo(function Said({ message, name, task, room }: SaidProps) {
  const quiet = message.kind === 'progress' || message.kind === 'notice';
  return (
    <article className="flex flex-col gap-0.5 [content-visibility:auto] [contain-intrinsic-size:auto_80px]">
      <header className="flex flex-wrap items-baseline gap-x-2">
        <span className={cx('font-semibold', message.sender === 'system' && 'text-quiet')}>{name}</span>
        {message.target && (
          <span className="inline-flex items-center gap-1 text-quiet">
            <ArrowRight size={12} className="self-center" aria-label="to" />
            {message.target === 'user' ? 'people' : message.target}
          </span>
        )}
        <Clock at={message.createdAt} className="text-sm text-faint" />
        {message.kind === 'handoff' && <span className="text-sm text-violet">handed on</span>}
        {message.kind === 'progress' && <span className="text-sm text-quiet">progress</span>}
        {message.sender === 'user' && task && <TaskState task={task} room={room} />}
        {message.runId && (
          <Link
            to="/rooms/$roomId/runs/$runId"
            params={{ roomId: room.chatroomId, runId: message.runId }}
            className="text-sm text-accent underline"
          >
            open run
          </Link>
        )}
      </header>
      <Prose text={message.content} className={quiet ? 'text-quiet' : ''} />
      <Attachments roomId={room.chatroomId} attachments={message.attachments ?? []} />
    </article>
  );
});

function TaskState({ task, room }: { task: Task; room: Room }) {
  const { data: all } = useQuery(agents(room.chatroomId));
  const { data: person } = useSuspenseQuery(me);
  const agent = all?.find((known) => known.role === task.role);
  const path = { chatroomId: room.chatroomId, taskId: task.taskId };
  const approve = useAct(
    () => unwrap(api.POST('/api/chatrooms/{chatroomId}/tasks/{taskId}/approve', { params: { path } })),
    'Let through',
  );
  const done = useAct(
    () => unwrap(api.POST('/api/chatrooms/{chatroomId}/tasks/{taskId}/complete', { params: { path }, body: {} })),
    'Marked as done',
  );
  // Only whoever's agent it is has configurations of it.
  const own = agent !== undefined && agent.configs.length > 0 && task.author !== person.userId;
  if (task.heldForOwner) {
    return (
      <span className="inline-flex items-center gap-2 text-sm text-amber">
        {own ? `waits for you: ${task.role} runs on your machine` : 'waits for the user of the machine'}
        {own && (
          <Button size="small" busy={approve.busy} onClick={() => approve()}>
            Let it through
          </Button>
        )}
      </span>
    );
  }
  return (
    <span className="inline-flex items-center gap-2 text-sm text-quiet">
      {STATES[task.state] ?? task.state}
      {task.state !== 'completed' && agent?.status === 'awaiting-handoff' && (
        <Button size="small" busy={done.busy} onClick={() => done()}>
          Mark as done
        </Button>
      )}
      {agent?.run && task.state === 'in_progress' && (
        <Link
          to="/rooms/$roomId/runs/$runId"
          params={{ roomId: room.chatroomId, runId: agent.run.runId }}
          className="text-accent underline"
        >
          open run
        </Link>
      )}
    </span>
  );
}
