// The feed of what changed, which keeps every page live: one resumable connection per instance and tab.
//
// An event never carries what it is about: it says which answers are old, and those on screen are read again.
// A hidden tab lets its connection go and catches up when it is shown, except for one tab of all, which stays
// to notify. So many tabs never use up the few connections a browser has for one host.

import type { QueryClient } from '@tanstack/react-query';
import { ApiError, isSignedOut, type Schemas } from '../api/client';
import { keys } from '../api/queries';
import { setConnection } from './connection';
import { listen, pause } from './sse';

export type FeedEvent = Schemas['EventView'];

/** How long changes are gathered before what is old is read again, in milliseconds. */
const GATHER = 40;
const GATHER_LISTS = 1000;
/** A server that restarts is back soon; one that is away is asked every few seconds. */
const BACKOFF = [250, 500, 1000, 2000, 3000];

type Watcher = (event: FeedEvent) => void;
const watchers = new Set<Watcher>();

/** Calls back for every event this tab hears. */
export function watchFeed(watcher: Watcher): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Follows the feeds of instances until it is told to stop. */
export function followFeeds(client: QueryClient, instances: string[], onSignedOut: () => void): () => void {
  const stop = new AbortController();
  const gather = gatherer(client);
  for (const instance of instances) void follow(client, instance, gather, stop.signal, onSignedOut);
  return () => stop.abort();
}

async function follow(
  client: QueryClient,
  instance: string,
  gather: (event: FeedEvent) => void,
  stop: AbortSignal,
  onSignedOut: () => void,
): Promise<void> {
  let position: string | undefined;
  let failures = 0;
  let first = true;
  while (!stop.aborted) {
    await wanted(stop);
    if (stop.aborted) return;
    const connection = new AbortController();
    const end = () => connection.abort();
    stop.addEventListener('abort', end);
    const forget = unwanted(end);
    try {
      const url = `/api/events?instance=${instance}${position === undefined ? '&after=now' : ''}`;
      await listen(url, {
        signal: connection.signal,
        lastEventId: position,
        onOpen: () => {
          failures = 0;
          setConnection('live');
          // What was read before the feed was open may be old already.
          if (position === undefined && !first) void client.invalidateQueries();
          first = false;
        },
        onEvent: (event) => {
          if (event.id !== undefined) position = event.id;
          if (event.event !== undefined && event.event !== 'message') return;
          const told = JSON.parse(event.data) as FeedEvent;
          gather(told);
          for (const watcher of watchers) watcher(told);
        },
      });
      failures = 0;
    } catch (error) {
      if (stop.aborted) return;
      if (connection.signal.aborted) continue;
      if (isSignedOut(error)) return onSignedOut();
      // The feed does not reach back that far any more: everything is read again.
      if (error instanceof ApiError && error.code === 'feed_truncated') position = undefined;
    } finally {
      stop.removeEventListener('abort', end);
      forget();
    }
    if (connection.signal.aborted) continue;
    setConnection('lost');
    await pause(BACKOFF[Math.min(failures++, BACKOFF.length - 1)] ?? 3000, stop);
  }
}

/**
 * Reads again what events make old: what one thing shows some milliseconds after the first of them, and lists of
 * everything, which are long, at most once a second.
 */
function gatherer(client: QueryClient): (event: FeedEvent) => void {
  const soon = batch(client, GATHER);
  const later = batch(client, GATHER_LISTS);
  return (event) => {
    const noun = event.kind.split('.')[0];
    if (event.chatroomId) {
      soon(keys.room(event.chatroomId));
      later(keys.rooms);
    }
    if (event.machineId) {
      soon(keys.machine(event.machineId));
      later(keys.machines);
    }
    if (event.subject?.startsWith('run_')) soon(keys.run(event.subject));
    // What runs where is told with the room.
    if (noun === 'run') later(['machine']);
    if (noun === 'machine') later(keys.machines);
    if (noun === 'room' || noun === 'member') later(keys.rooms);
    if (noun === 'session' || noun === 'user' || noun === 'member') soon(keys.account);
    later(keys.activity);
  };
}

/** Gathers keys; a while after the first, what is under them is read again. */
function batch(client: QueryClient, wait: number): (key: readonly unknown[]) => void {
  const old = new Map<string, readonly unknown[]>();
  let last = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (key) => {
    old.set(JSON.stringify(key), key);
    // The first after a pause is told at once.
    const due = Math.max(GATHER, last + wait - Date.now());
    timer ??= setTimeout(() => {
      timer = undefined;
      last = Date.now();
      const keysNow = [...old.values()];
      old.clear();
      for (const queryKey of keysNow) void client.invalidateQueries({ queryKey });
    }, due);
  };
}

let notifies = false;
const visible = () => document.visibilityState === 'visible';

// The one tab that stays connected while hidden holds a lock that the browser gives to the next when it closes.
if (typeof navigator !== 'undefined' && navigator.locks) {
  void navigator.locks.request('chatroom-notifier', () => {
    notifies = true;
    document.dispatchEvent(new Event('visibilitychange'));
    return new Promise(() => {});
  });
}

export const isNotifier = () => notifies;

/** Waits until this tab is to be connected. */
function wanted(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!visible() && !notifies && !stop.aborted) return;
      document.removeEventListener('visibilitychange', look);
      stop.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    stop.addEventListener('abort', look);
    look();
  });
}

/** Calls once this tab is no longer to be connected: hidden for a while, and not the one that notifies. */
function unwanted(call: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    clearTimeout(timer);
    if (!visible() && !notifies) timer = setTimeout(call, 10_000);
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
  };
}
