import { useMutation, useQueryClient } from '@tanstack/react-query';
import { SendHorizontal } from 'lucide-react';
import { useRef, useState } from 'react';
import { api, unwrap } from '../api/client';
import { keys, type Room } from '../api/queries';
import { Button } from '../ui/button';
import { Problem } from '../ui/problem';

const LIMIT = 100_000;

/** Where one writes. What is not sent yet stays on this computer until it is. */
export function Composer({ room }: { room: Room }) {
  const queries = useQueryClient();
  const place = `draft ${room.chatroomId}`;
  const [text, setText] = useState(() => localStorage.getItem(place) ?? '');
  const [target, setTarget] = useState<string>(room.entry);
  const box = useRef<HTMLTextAreaElement>(null);
  const write = (next: string) => {
    setText(next);
    if (next) localStorage.setItem(place, next);
    else localStorage.removeItem(place);
  };
  const send = useMutation({
    mutationFn: (content: string) =>
      unwrap(
        api.POST('/api/chatrooms/{chatroomId}/messages', {
          params: { path: { chatroomId: room.chatroomId } },
          body: target === room.entry ? { content } : { content, targetRole: target },
        }),
      ),
    onSuccess: (_, sent) => {
      // What was typed on in the meantime stays.
      if (box.current?.value === sent) write('');
      void queries.invalidateQueries({ queryKey: keys.room(room.chatroomId) });
    },
  });
  const submit = () => {
    if (text.trim() && !send.isPending) send.mutate(text);
  };
  const long = text.length > LIMIT;
  return (
    <form
      className="rounded-md border border-line-strong bg-panel focus-within:border-accent"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {send.isError && (
        <div className="p-2">
          <Problem error={send.error} retry={submit} />
        </div>
      )}
      <textarea
        ref={box}
        aria-label={`Message ${target}`}
        placeholder={`Message ${target}…`}
        value={text}
        rows={2}
        onChange={(event) => write(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          // A thumb has no Shift: there Enter is a new line and the button sends.
          if (matchMedia('(pointer: coarse)').matches) return;
          event.preventDefault();
          submit();
        }}
        className="field-sizing-content block max-h-[40dvh] w-full resize-none bg-transparent px-3 pt-2 text-lg outline-none"
      />
      <div className="flex items-center gap-2 p-2 pt-1">
        {room.roles.length > 1 && (
          <label className="flex items-center gap-1.5 text-quiet">
            To
            <select
              value={target}
              onChange={(event) => setTarget(event.target.value)}
              className="h-7 rounded-md border border-line bg-panel px-1 text-ink"
            >
              {room.roles.map((role) => (
                <option key={role} value={role}>
                  {role}
                </option>
              ))}
            </select>
          </label>
        )}
        <span className="grow text-right text-sm text-quiet">
          {long
            ? `${(text.length - LIMIT).toLocaleString()} characters too many`
            : text && <span className="pointer-coarse:hidden">Enter sends, Shift Enter is a new line</span>}
        </span>
        <Button type="submit" look="main" busy={send.isPending} disabled={!text.trim() || long}>
          Send
          <SendHorizontal size={14} aria-hidden />
        </Button>
      </div>
    </form>
  );
}
