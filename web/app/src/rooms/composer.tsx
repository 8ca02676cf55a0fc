import { useMutation, useQueryClient } from '@tanstack/react-query';
import { LoaderCircle, Paperclip, SendHorizontal, X } from 'lucide-react';
import { useRef, useState } from 'react';
import { api, unwrap } from '../api/client';
import { keys, type Room } from '../api/queries';
import { Button, IconButton } from '../ui/button';
import { Problem } from '../ui/problem';
import { MOST, useAttachments } from './attach';

const LIMIT = 100_000;

/** Where one writes. What is not sent yet stays on this computer until it is. */
export function Composer({ room }: { room: Room }) {
  const queries = useQueryClient();
  const place = `draft ${room.chatroomId}`;
  const [text, setText] = useState(() => localStorage.getItem(place) ?? '');
  const [target, setTarget] = useState<string>(room.entry);
  const box = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const files = useAttachments(room.chatroomId);
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
          body: {
            content,
            ...(target === room.entry ? {} : { targetRole: target }),
            ...(files.chosen.length === 0 ? {} : { attachments: files.chosen.flatMap((one) => one.sent?.attachmentId ?? []) }),
          },
        }),
      ),
    onSuccess: (_, sent) => {
      files.clear();
      // What was typed on in the meantime stays.
      if (box.current?.value === sent) write('');
      void queries.invalidateQueries({ queryKey: keys.room(room.chatroomId) });
    },
  });
  const long = text.length > LIMIT;
  const submit = () => {
    if (text.trim() && !long && files.ready && !send.isPending) send.mutate(text);
  };
  return (
    <form
      className="rounded-md border border-line-strong bg-panel focus-within:border-accent"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onDragOver={(event) => event.dataTransfer.types.includes('Files') && event.preventDefault()}
      onDrop={(event) => {
        if (event.dataTransfer.files.length === 0) return;
        event.preventDefault();
        files.add(event.dataTransfer.files);
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
        onPaste={(event) => {
          if (event.clipboardData.files.length === 0) return;
          event.preventDefault();
          files.add(event.clipboardData.files);
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          // A thumb has no Shift: there Enter is a new line and the button sends.
          if (matchMedia('(pointer: coarse)').matches) return;
          event.preventDefault();
          submit();
        }}
        className="field-sizing-content block max-h-[40dvh] w-full resize-none bg-transparent px-3 pt-2 text-lg outline-none"
      />
      {files.chosen.length > 0 && (
        <ul aria-label="Attached" className="flex flex-wrap gap-2 px-2">
          {files.chosen.map((one) => (
            <li key={one.key} className="flex items-center gap-1 rounded-md border border-line bg-sunken pl-2">
              {!one.sent && <LoaderCircle size={12} className="animate-spin text-quiet" aria-label="On its way" />}
              <span className="max-w-48 truncate">{one.name}</span>
              <IconButton label={`Leave ${one.name} out`} size="small" onClick={() => files.remove(one.key)}>
                <X size={12} />
              </IconButton>
            </li>
          ))}
        </ul>
      )}
      <div className="flex items-center gap-2 p-2 pt-1">
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-label="Files"
          onChange={(event) => {
            files.add(event.target.files ?? []);
            event.target.value = '';
          }}
        />
        <IconButton
          label="Attach images or text files"
          size="small"
          disabled={files.chosen.length >= MOST}
          onClick={() => picker.current?.click()}
        >
          <Paperclip size={16} />
        </IconButton>
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
        <Button type="submit" look="main" busy={send.isPending} disabled={!text.trim() || long || !files.ready}>
          Send
          <SendHorizontal size={14} aria-hidden />
        </Button>
      </div>
    </form>
  );
}
