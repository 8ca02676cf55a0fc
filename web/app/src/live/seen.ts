// Whether somebody looks at this app, in this tab or another: a lock that every tab somebody looks at shares.

const LOCK = 'chatroom-seen';

const visible = () => document.visibilityState === 'visible';

/** Lets other tabs know for as long as this one is looked at. Returns how to end that. */
export function holdSeen(): () => void {
  let letGo = () => {};
  const look = () => {
    letGo();
    if (!visible()) return;
    const hold = () => (visible() ? new Promise<void>((resolve) => (letGo = resolve)) : undefined);
    void navigator.locks?.request(LOCK, { mode: 'shared' }, hold);
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    document.removeEventListener('visibilitychange', look);
    letGo();
  };
}

export async function isSeen(): Promise<boolean> {
  if (visible()) return true;
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return held.some((lock) => lock.name === LOCK);
}
