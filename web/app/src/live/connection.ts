// Whether the server can be reached, as the whole app sees it.

import { useSyncExternalStore } from 'react';

export type Connection = { state: 'connecting' | 'live' } | { state: 'lost'; since: number };

let connection: Connection = { state: 'connecting' };
const listeners = new Set<() => void>();

export function setConnection(state: Connection['state']): void {
  if (state === connection.state) return;
  connection = state === 'lost' ? { state, since: Date.now() } : { state };
  for (const listener of listeners) listener();
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => connection,
  );
}
