// Whether anybody can see this tab: a hidden one needs no connection, of which a browser has few for one host.

const PATIENCE = 10_000;

/** Waits until this tab is seen, or told to stop. */
export function seen(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState !== 'visible' && !stop.aborted) return;
      document.removeEventListener('visibilitychange', look);
      stop.removeEventListener('abort', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    stop.addEventListener('abort', look);
    look();
  });
}

/** Calls once this tab was hidden for a while. Returns how to forget about it. */
export function whenHidden(call: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    clearTimeout(timer);
    if (document.visibilityState !== 'visible') timer = setTimeout(call, PATIENCE);
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
  };
}

/** Waits until what was just changed is painted; in a tab nobody sees nothing is. */
export function painted(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (document.visibilityState !== 'visible' || stop.aborted) return resolve();
    // A frame that is asked for now may belong to what was there before.
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)));
  });
}

/** Lets the browser do something else first. */
export const nextTask = () => new Promise<void>((resolve) => setTimeout(resolve));
