// What the agent asks before it acts. It is answered for exactly what is shown here.

import { Diamond } from 'lucide-react';
import { useMemo } from 'react';
import type { Answer } from '../agents/answer';
import { Button } from '../ui/button';
import { visible } from '../ui/code';
import { Clock } from '../ui/time';
import { Edited, Input } from './call';
import { useRun } from './context';
import { editOf } from './edits';
import { FoldLine } from './fold-line';
import type { QuestionEntry } from './fold';

export function Question({ question, isOpen, toggle }: { question: QuestionEntry; isOpen: boolean; toggle: () => void }) {
  const { isLive } = useRun();
  const { closed } = question;
  if (closed || !isLive) {
    return (
      <FoldLine isOpen={isOpen} onClick={toggle} label={outcome(question)} about={question.title} dim>
        <Asked question={question} />
      </FoldLine>
    );
  }
  return (
    <section aria-label="The agent asks" className="my-1 flex flex-col gap-2 rounded-md border border-amber/60 bg-amber-soft p-3">
      <h2 className="flex items-start gap-2 font-medium">
        <Diamond size={14} fill="currentColor" className="mt-1 shrink-0 text-amber" aria-hidden />
        <span className="min-w-0 grow">Wants to go on with {visible(question.title)}</span>
        <Clock at={question.at} className="shrink-0 text-sm font-normal text-quiet" />
      </h2>
      <Asked question={question} />
      <Answers question={question} />
    </section>
  );
}

function Asked({ question }: { question: QuestionEntry }) {
  const name = question.title.split(':', 1)[0] ?? '';
  const edit = useMemo(() => editOf(name, question.input), [name, question.input]);
  return (
    <div className="flex min-w-0 flex-col gap-2">
      {edit ? <Edited edit={edit} input={question.input} /> : <Input text={question.input} name={name} />}
    </div>
  );
}

export function Answers({ question }: { question: QuestionEntry }) {
  const { answer, answering } = useRun();
  const busy = answering.has(question.permissionId);
  const say = (word: Answer) => () => answer(question, word);
  return (
    <div className="flex flex-wrap items-center gap-2">
      <Button look="danger" busy={busy} onClick={say('deny')}>
        Deny
      </Button>
      <Button look="main" busy={busy} onClick={say('allow')}>
        Allow
      </Button>
      {question.always !== undefined && (
        <Button busy={busy} onClick={say('allow-run')} title={`Until the run is over: ${question.always}`}>
          Allow for this run
        </Button>
      )}
      {question.always !== undefined && (
        <span className="text-sm text-quiet">For this run means: {visible(question.always)}</span>
      )}
    </div>
  );
}

function outcome({ closed }: QuestionEntry): string {
  if (!closed) return 'Not answered';
  const by = closed.by ? ` by ${closed.by.name}` : '';
  switch (closed.outcome) {
    case 'allowed':
      return closed.scope === 'run' ? `Allowed for this run${by}` : `Allowed${by}`;
    case 'denied':
      return `Denied${by}`;
    default:
      return 'Withdrawn';
  }
}
