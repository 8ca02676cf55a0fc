// Which entries the reader opened or closed; an entry that leaves the screen remembers it.

import { useCallback, useMemo, useState } from 'react';
import type { Entry } from './fold';

export interface Folds {
  isOpen: (entry: Entry) => boolean;
  toggle: (seq: number) => void;
}

/** Whether an entry is open before anybody says so: what changes files, and what waits for somebody. */
export type OpenAtFirst = (entry: Entry) => boolean;

export function useFolds(openAtFirst: OpenAtFirst): Folds {
  const [turned, setTurned] = useState<ReadonlySet<number>>(new Set());
  const toggle = useCallback(
    (seq: number) =>
      setTurned((before) => {
        const after = new Set(before);
        if (!after.delete(seq)) after.add(seq);
        return after;
      }),
    [],
  );
  return useMemo(
    () => ({ isOpen: (entry) => turned.has(entry.seq) !== openAtFirst(entry), toggle }),
    [turned, openAtFirst, toggle],
  );
}
