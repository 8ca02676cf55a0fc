// Every address of the app. What is large, or seldom seen, is loaded when it is first wanted.

import { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { ApiError, isSignedOut, Unreachable } from './api/client';
import * as queries from './api/queries';
import { SignIn } from './account/sign-in';
import { Failed, Frame, NotFound, Root } from './frame/frame';
import { Home } from './rooms/home';
import { NeedsYouPage } from './rooms/needs-you';
import { askAhead } from './runs/read';

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      // The feed says when something is old.
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) =>
        error instanceof Unreachable || (error instanceof ApiError && error.problem.status >= 500 && failures < 3),
      retryDelay: (failures) => Math.min(500 * 2 ** failures, 4000),
    },
  },
});

const root = createRootRouteWithContext<{ client: QueryClient }>()({
  component: Root,
  errorComponent: Failed,
  notFoundComponent: NotFound,
});

const text = (value: unknown): string | undefined => (typeof value === 'string' && value ? value : undefined);

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { to?: string } => {
    // Only an address of this app: `//elsewhere` is another host's.
    const to = text(search.to);
    return to?.startsWith('/') && !to.startsWith('//') && !to.includes('\\') ? { to } : {};
  },
  component: SignIn,
});

const signUp = createRoute({
  getParentRoute: () => root,
  path: '/sign-up',
  validateSearch: (search: Record<string, unknown>): { code?: string } => {
    const code = text(search.code);
    return code ? { code } : {};
  },
  component: lazyRouteComponent(() => import('./account/sign-up'), 'SignUp'),
});

/** Everything that wants somebody signed in. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Frame,
  // A loader, because those of the page, and its code, do not wait for it. Who comes back is asked about again.
  gcTime: 0,
  loader: async ({ context, location }) => {
    try {
      await context.client.ensureQueryData(queries.me);
    } catch (error) {
      if (!isSignedOut(error)) throw error;
      throw redirect({ to: '/sign-in', search: location.pathname === '/' ? {} : { to: location.href } });
    }
  },
});

const home = createRoute({ getParentRoute: () => inside, path: '/', component: Home });

const needsYou = createRoute({ getParentRoute: () => inside, path: '/needs-you', component: NeedsYouPage });

const roomRoute = createRoute({
  getParentRoute: () => inside,
  path: '/rooms/$roomId',
  component: lazyRouteComponent(() => import('./rooms/room'), 'RoomPage'),
});

const runRoute = createRoute({
  getParentRoute: () => inside,
  path: '/rooms/$roomId/runs/$runId',
  validateSearch: (search: Record<string, unknown>): { line?: number } => {
    const line = Number(search.line);
    return Number.isInteger(line) && line > 0 ? { line } : {};
  },
  loader: ({ context, params: { roomId, runId }, location, cause }) => {
    if (cause === 'stay') return;
    const line = Number(new URLSearchParams(location.searchStr).get('line'));
    if (cause === 'enter') askAhead(runId, line > 0 ? line : undefined);
    void context.client.prefetchQuery(queries.run(runId));
    void context.client.prefetchQuery(queries.agents(roomId));
    void context.client.prefetchQuery(queries.machines);
  },
  component: lazyRouteComponent(() => import('./runs/run'), 'RunPage'),
});

const machines = createRoute({
  getParentRoute: () => inside,
  path: '/machines',
  component: lazyRouteComponent(() => import('./machines/machines'), 'MachinesPage'),
});

const machineRoute = createRoute({
  getParentRoute: () => inside,
  path: '/machines/$machineId',
  component: lazyRouteComponent(() => import('./machines/machine'), 'MachinePage'),
});

const activity = createRoute({
  getParentRoute: () => inside,
  path: '/activity',
  component: lazyRouteComponent(() => import('./activity/activity'), 'ActivityPage'),
});

const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('./account/account'), 'AccountPage'),
});

const cli = createRoute({
  getParentRoute: () => inside,
  path: '/cli',
  validateSearch: (search: Record<string, unknown>): { code?: string } => {
    const code = text(search.code);
    return code ? { code } : {};
  },
  component: lazyRouteComponent(() => import('./account/cli'), 'CliPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    signUp,
    inside.addChildren([home, needsYou, roomRoute, runRoute, machines, machineRoute, activity, account, cli]),
  ]),
  context: { client },
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
