import type { ReactNode } from 'react';

/** The frame of the pages outside: signing in and up. */
export function Door({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-[400px] flex-col justify-center gap-4 p-6">
      <div className="flex items-center gap-2 text-quiet">
        <img src="/icon.svg" alt="" width={24} height={24} />
        chatroom
      </div>
      <h1 className="text-2xl font-semibold">{title}</h1>
      {children}
    </main>
  );
}
