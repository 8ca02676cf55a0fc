// The frame of every page: the rail on the left, or the bar below on a phone, and the page itself.

import { useQueryClient, useSuspenseQuery } from '@tanstack/react-query';
import { Outlet, useNavigate, useRouter } from '@tanstack/react-router';
import { Suspense, useEffect, type ReactNode } from 'react';
import { Toaster } from 'sonner';
import { me } from '../api/queries';
import { followFeeds } from '../live/feed';
import { useNotifications } from '../live/notify';
import { useConnection } from '../live/connection';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { Ago } from '../ui/time';
import { BottomBar } from './bottom-bar';
import { Palette } from './palette';
import { Rail } from './rail';
import { Shortcuts } from './shortcuts';

export function Root() {
  return (
    <>
      <Outlet />
      <Toaster
        position="bottom-right"
        // Above the bar of a phone.
        mobileOffset={{ bottom: 'calc(64px + env(safe-area-inset-bottom))' }}
        toastOptions={{
          unstyled: true,
          classNames: {
            toast:
              'flex w-[356px] max-w-[calc(100vw-32px)] items-start gap-2 rounded-md border border-line-strong bg-panel px-3 py-2 text-ink shadow-[0_8px_24px_#0003]',
            description: 'text-sm text-quiet',
            icon: 'mt-0.5',
            content: 'grow',
            actionButton: 'shrink-0 rounded-sm font-medium text-accent underline',
          },
        }}
      />
    </>
  );
}

export function Frame() {
  const { data } = useSuspenseQuery(me);
  const queries = useQueryClient();
  const navigate = useNavigate();
  const instances = data.instances.map((instance) => instance.instanceId).join(' ');
  useEffect(
    () =>
      followFeeds(queries, instances.split(' '), () => {
        queries.clear();
        void navigate({ to: '/sign-in', search: { to: location.pathname + location.search } });
      }),
    [queries, navigate, instances],
  );
  useNotifications();
  return (
    <div className="flex h-dvh flex-col">
      <Shortcuts />
      <Lost />
      <div className="flex min-h-0 grow">
        <a
          href="#main"
          className="sr-only z-50 rounded-md bg-panel px-3 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
        >
          Skip to the page
        </a>
        <Rail />
        <main id="main" tabIndex={-1} className="flex min-w-0 grow flex-col outline-none">
          <Suspense fallback={<Skeleton rows={6} />}>
            <Outlet />
          </Suspense>
        </main>
      </div>
      <BottomBar />
      <Palette />
    </div>
  );
}

/** Says that the server is gone, for as long as it is. */
function Lost() {
  const connection = useConnection();
  return (
    <div role="status">
      {connection.state === 'lost' && (
        <p className="border-b border-line bg-amber-soft px-3 py-1.5 text-center text-amber">
          The server has not answered since <Ago at={connection.since} />. What you see may be old; this page catches up by
          itself when it is back.
        </p>
      )}
    </div>
  );
}

/** The head of a page, with what can be done there. */
export function PageHead({ title, about, children }: { title: ReactNode; about?: ReactNode; children?: ReactNode }) {
  return (
    <header className="flex min-h-12 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-4 py-2">
      <h1 className="min-w-0 truncate text-lg font-semibold">{title}</h1>
      <div className="min-w-0 grow truncate text-quiet">{about}</div>
      {children}
    </header>
  );
}

export function Failed({ error }: { error: unknown }) {
  const router = useRouter();
  return (
    <div className="mx-auto max-w-[560px] p-6">
      <Problem error={error} retry={() => void router.invalidate()} />
    </div>
  );
}

export function NotFound() {
  return (
    <Empty title="There is nothing at this address" top>
      <p className="text-quiet">It may have been removed, or belong to somebody else.</p>
      <div>
        <Button asChild look="main">
          <a href="/">Go to the start page</a>
        </Button>
      </div>
    </Empty>
  );
}
