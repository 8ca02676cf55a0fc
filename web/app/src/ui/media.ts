import { useSyncExternalStore } from 'react';

const known = new Map<string, MediaQueryList>();

function listOf(query: string): MediaQueryList {
  let list = known.get(query);
  if (!list) known.set(query, (list = matchMedia(query)));
  return list;
}

/** Whether the window is as a media query says, also once it changes. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (listener) => {
      const list = listOf(query);
      list.addEventListener('change', listener);
      return () => list.removeEventListener('change', listener);
    },
    () => listOf(query).matches,
  );
}

/** Whether the window is as narrow as a phone's, where the bar below takes the place of the rail. */
export const useNarrow = () => useMedia('(width < 48rem)');
