// The foot of a run: what it is told next, and the box to tell it more.

import { useQuery } from '@tanstack/react-query';
import { Hand, Pencil, SendHorizontal, X } from 'lucide-react';
import { useState } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { prompts, type Agent, type Run } from '../api/queries';
import { useAct } from '../ui/act';
import { Button, IconButton } from '../ui/button';
import { cx } from '../ui/cx';
import { inputLook } from '../ui/field';
import { firstLine } from './fold';
import { tellMore, type Steering } from './steer';

interface FootProps {
  run: Run;
  agent: Agent;
  steering: Steering;
  onSent: () => void;
}

export function RunFoot({ run, agent, steering, onSent }: FootProps) {
  const [text, setText] = useState('');
  const { followUp, interrupt } = steering;
  const isWorking = agent.status === 'working' || agent.status === 'needs-you';
  const send = () => {
    if (text.trim() === '' || followUp.busy) return;
    followUp(text);
    setText('');
    onSent();
  };
  return (
    <footer className="shrink-0 border-t border-line bg-ground px-3 py-2 md:px-4">
      <Queue run={run} />
      <form
        className="flex items-end gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <textarea
          value={text}
          rows={Math.min(8, text.split('\n').length)}
          aria-label={`Message to ${run.role}`}
          placeholder={`Message ${run.role}`}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') event.currentTarget.blur();
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            send();
          }}
          className={cx(inputLook, 'min-h-8 resize-none py-1.5 leading-5 pointer-coarse:min-h-10')}
        />
        <Button type="submit" look="main" busy={followUp.busy} disabled={text.trim() === ''}>
          <SendHorizontal size={14} aria-hidden />
          {isWorking ? 'Queue' : 'Send'}
        </Button>
        {isWorking && (
          <Button busy={interrupt.busy} onClick={() => interrupt()} title="End this turn (i)">
            <Hand size={14} aria-hidden />
            Interrupt
          </Button>
        )}
      </form>
    </footer>
  );
}

function Queue({ run }: { run: Run }) {
  const { data } = useQuery(prompts(run.chatroomId, run.role));
  const waiting = data?.filter((prompt) => prompt.stage === 'waiting') ?? [];
  if (waiting.length === 0) return null;
  return (
    <section aria-label="Queue" className="mb-2 rounded-md border border-line bg-panel">
      <h2 className="border-b border-line px-3 py-1 text-sm text-quiet">Queue ({waiting.length})</h2>
      <ol className="max-h-40 overflow-y-auto">
        {waiting.map((prompt) => (
          <Queued key={prompt.promptId} run={run} prompt={prompt} />
        ))}
      </ol>
    </section>
  );
}

function Queued({ run, prompt }: { run: Run; prompt: Schemas['PromptView'] }) {
  const [draft, setDraft] = useState<string>();
  const path = { chatroomId: run.chatroomId, role: run.role, promptId: prompt.promptId };
  const put = (text: string) =>
    unwrap(api.PUT('/api/chatrooms/{chatroomId}/agents/{role}/prompts/{promptId}', { params: { path }, body: { text } }));
  const change = useAct(
    async (text: string) => {
      await put(text);
      setDraft(undefined);
      return prompt.text;
    },
    (_, before) => ({ said: 'The message is changed', undo: () => put(before) }),
  );
  const takeBack = useAct(
    () => unwrap(api.DELETE('/api/chatrooms/{chatroomId}/agents/{role}/prompts/{promptId}', { params: { path } })),
    { said: 'The message is taken back', undo: () => tellMore(run, prompt.text) },
  );
  if (draft !== undefined) {
    return (
      <li className="flex items-end gap-2 px-3 py-1.5">
        <textarea
          value={draft}
          autoFocus
          aria-label="Change the message"
          rows={Math.min(8, draft.split('\n').length)}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') setDraft(undefined);
          }}
          className={cx(inputLook, 'resize-none py-1.5 leading-5')}
        />
        <Button size="small" onClick={() => setDraft(undefined)}>
          Cancel
        </Button>
        <Button size="small" look="main" busy={change.busy} disabled={draft.trim() === ''} onClick={() => change(draft)}>
          Save
        </Button>
      </li>
    );
  }
  return (
    <li className="flex items-center gap-1 px-3 py-0.5">
      <span className="min-w-0 grow truncate">{firstLine(prompt.text)}</span>
      {prompt.from.kind === 'follow_up' ? (
        <>
          <IconButton size="small" label="Change it" onClick={() => setDraft(prompt.text)}>
            <Pencil size={14} />
          </IconButton>
          <IconButton size="small" label="Take it back" busy={takeBack.busy} onClick={() => takeBack()}>
            <X size={14} />
          </IconButton>
        </>
      ) : (
        <span className="text-sm text-faint">{prompt.from.kind === 'task' ? 'Task' : 'Reminder'}</span>
      )}
    </li>
  );
}
