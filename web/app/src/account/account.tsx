import { useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query';
import { Monitor, Terminal } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { keys, me, members, sessions, type Me } from '../api/queries';
import { PageHead } from '../frame/frame';
import { notifiesNow } from '../live/notify';
import { say, useAct } from '../ui/act';
import { Button } from '../ui/button';
import { Commands } from '../ui/copy';
import { Confirm } from '../ui/dialog';
import { TextField } from '../ui/field';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { Ago } from '../ui/time';
import { signOut } from './sign-out';
import { setTheme, theme, type Theme } from './theme';

export function AccountPage() {
  const { data: person } = useSuspenseQuery(me);
  return (
    <>
      <PageHead title={person.name} about={person.email}>
        <Button onClick={() => void signOut()}>Sign out</Button>
      </PageHead>
      <div className="min-h-0 grow overflow-y-auto">
        <div className="mx-auto flex w-full max-w-[760px] flex-col gap-8 p-4">
          <Appearance />
          <Notifications />
          <Sessions name={person.name} />
          <Password />
          {person.instances.map((instance) => (
            <People key={instance.instanceId} instance={instance} me={person.userId} />
          ))}
        </div>
      </div>
    </>
  );
}

const Section = ({ title, children }: { title: string; children: ReactNode }) => (
  <section className="flex flex-col gap-2">
    <h2 className="font-semibold">{title}</h2>
    {children}
  </section>
);

const THEMES: { value: Theme; label: string }[] = [
  { value: 'system', label: 'As the computer' },
  { value: 'light', label: 'Light' },
  { value: 'dark', label: 'Dark' },
];

function Appearance() {
  const [chosen, setChosen] = useState(theme);
  return (
    <Section title="Appearance">
      <div role="radiogroup" aria-label="Appearance" className="flex flex-wrap gap-4">
        {THEMES.map(({ value, label }) => (
          <label key={value} className="flex items-center gap-1.5">
            <input
              type="radio"
              name="theme"
              className="accent-accent"
              checked={chosen === value}
              onChange={() => {
                setTheme(value);
                setChosen(value);
              }}
            />
            {label}
          </label>
        ))}
      </div>
    </Section>
  );
}

function Notifications() {
  const [on, setOn] = useState(notifiesNow);
  if (typeof Notification === 'undefined') return null;
  const denied = Notification.permission === 'denied';
  return (
    <Section title="Notifications">
      <p className="text-quiet">
        {on
          ? 'This browser tells you when an agent needs you, gives up, or hands to you, while you look elsewhere.'
          : denied
            ? 'This browser does not let this page notify you. Its site settings can change that.'
            : 'This browser can tell you when an agent needs you, gives up, or hands to you. Nothing else.'}
      </p>
      {!on && !denied && (
        <div>
          <Button onClick={() => void Notification.requestPermission().then(() => setOn(notifiesNow()))}>Turn on</Button>
        </div>
      )}
    </Section>
  );
}

function Sessions({ name }: { name: string }) {
  const found = useQuery(sessions);
  const queries = useQueryClient();
  const reload = () => queries.invalidateQueries({ queryKey: keys.account });
  const [ending, setEnding] = useState<Schemas['SessionView'] | 'others'>();
  const close = (open: boolean) => !open && setEnding(undefined);
  return (
    <Section title="Devices and sessions">
      {found.isPending && <Skeleton />}
      {found.isError && <Problem error={found.error} retry={() => void found.refetch()} />}
      <ul className="rounded-md border border-line bg-panel">
        {found.data?.map((session) => (
          <li key={session.sessionId} className="flex items-center gap-3 border-line px-3 py-2 not-first:border-t">
            {session.kind === 'cli' ? (
              <Terminal size={16} className="shrink-0 text-quiet" aria-label="Command line" />
            ) : (
              <Monitor size={16} className="shrink-0 text-quiet" aria-label="Browser" />
            )}
            <span className="min-w-0 grow">
              <span className="block truncate">{session.label}</span>
              <span className="block text-sm text-quiet">
                {session.current ? 'this one' : <>used <Ago at={session.lastUsedAt} /></>}, signed in <Ago at={session.createdAt} />
              </span>
            </span>
            {!session.current && (
              <Button size="small" look="danger" onClick={() => setEnding(session)}>
                Revoke
              </Button>
            )}
          </li>
        ))}
      </ul>
      {(found.data?.length ?? 0) > 1 && (
        <div>
          <Button look="danger" onClick={() => setEnding('others')}>
            Sign out everywhere else
          </Button>
        </div>
      )}
      {ending === 'others' ? (
        <Confirm
          open
          onOpenChange={close}
          title="Sign out everywhere else"
          about="Every other browser and command line of yours has to sign in again. Machines and their agents go on."
          verb="Sign out"
          typed={name}
          act={async () => {
            await unwrap(api.DELETE('/api/auth/sessions'));
            say('Signed out everywhere else');
            await reload();
          }}
        />
      ) : (
        <Confirm
          open={ending !== undefined}
          onOpenChange={close}
          title={`Revoke ${ending?.label ?? ''}`}
          about="What is signed in there has to sign in again."
          verb="Revoke"
          typed={ending?.label ?? ''}
          act={async () => {
            const path = { sessionId: ending?.sessionId ?? '' };
            await unwrap(api.DELETE('/api/auth/sessions/{sessionId}', { params: { path } }));
            say('Signed out there');
            await reload();
          }}
        />
      )}
      <p className="text-quiet">To sign a command line in on any computer:</p>
      <Commands lines={`export CHATROOM_URL=${location.origin}\nchatroom auth login`} />
    </Section>
  );
}

function Password() {
  const queries = useQueryClient();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const change = useAct(async () => {
    await unwrap(api.POST('/api/auth/password', { body: { new: next, ...(current ? { current } : {}) } }));
    setCurrent('');
    setNext('');
    await queries.invalidateQueries({ queryKey: keys.account });
  }, 'The password was changed; every other session has ended');
  return (
    <Section title="Password">
      <form
        className="flex flex-col gap-3 sm:max-w-80"
        onSubmit={(event) => {
          event.preventDefault();
          change();
        }}
      >
        <TextField
          label="Present password"
          hint="Empty if you never set one."
          type="password"
          autoComplete="current-password"
          value={current}
          onChange={(event) => setCurrent(event.target.value)}
        />
        <TextField
          label="New password"
          hint="At least 10 characters. Your other sessions end."
          type="password"
          autoComplete="new-password"
          required
          minLength={10}
          maxLength={200}
          value={next}
          onChange={(event) => setNext(event.target.value)}
        />
        <div>
          <Button type="submit" busy={change.busy} disabled={next.length < 10}>
            Change the password
          </Button>
        </div>
      </form>
    </Section>
  );
}

function People({ instance, me: own }: { instance: Me['instances'][number]; me: string }) {
  const found = useQuery(members(instance.instanceId));
  const queries = useQueryClient();
  const [removing, setRemoving] = useState<{ userId: string; name: string }>();
  const [link, setLink] = useState<string>();
  const invite = useAct(async () => {
    const path = { instanceId: instance.instanceId };
    setLink((await unwrap(api.POST('/api/instances/{instanceId}/invitations', { params: { path } }))).link);
  });
  return (
    <Section title={`People of ${instance.name}`}>
      {found.isError && <Problem error={found.error} retry={() => void found.refetch()} />}
      <ul className="rounded-md border border-line bg-panel">
        {found.data?.map((member) => (
          <li key={member.userId} className="flex h-10 items-center gap-3 border-line px-3 not-first:border-t">
            <span className="grow truncate">
              {member.name}
              {member.userId === own && <span className="text-quiet"> (you)</span>}
            </span>
            {member.owner && <span className="text-quiet">owner</span>}
            {instance.owner && !member.owner && (
              <Button size="small" look="danger" onClick={() => setRemoving(member)}>
                Remove
              </Button>
            )}
          </li>
        ))}
      </ul>
      {instance.owner && (
        <>
          {link && (
            <>
              <p className="text-quiet">Send this link. It works once, for a week.</p>
              <Commands lines={link} />
            </>
          )}
          <div>
            <Button busy={invite.busy} onClick={() => invite()}>
              {link ? 'Make another invitation' : 'Invite somebody'}
            </Button>
          </div>
        </>
      )}
      <Confirm
        open={removing !== undefined}
        onOpenChange={(open) => !open && setRemoving(undefined)}
        title={`Remove ${removing?.name ?? ''}`}
        about={`The rooms of ${instance.name} are closed to them from then on. Their machines stay theirs.`}
        verb="Remove"
        typed={removing?.name ?? ''}
        act={async () => {
          const path = { instanceId: instance.instanceId, userId: removing?.userId ?? '' };
          await unwrap(api.DELETE('/api/instances/{instanceId}/members/{userId}', { params: { path } }));
          await queries.invalidateQueries({ queryKey: keys.account });
        }}
      />
    </Section>
  );
}
