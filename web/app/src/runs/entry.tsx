// One entry of a transcript. Its number is its link.

import { CircleStop, Hand, Info, LogOut, User } from 'lucide-react';
import { memo, type ReactNode } from 'react';
import { cx } from '../ui/cx';
import { Prose } from '../ui/markdown';
import { Clock, duration } from '../ui/time';
import { Call, Output } from './call';
import { useRun } from './context';
import { firstLine, quoted, type Entry, type PromptEntry, type TurnEntry } from './fold';
import { Failed, FoldLine } from './fold-line';
import { Question } from './question';
import { printed, short, summary } from './summary';

interface EntryProps {
  entry: Entry;
  isOpen: boolean;
  toggle: (seq: number) => void;
}

/** What is one line that opens, which is higher for a thumb. */
const FOLDED: ReadonlySet<Entry['kind']> = new Set(['call', 'result', 'thought', 'repeated']);

export const EntryRow = memo(function EntryRow(props: EntryProps) {
  return (
    <div className="flex items-start gap-2 py-1 pr-3 md:pr-4">
      <LineLink seq={props.entry.seq} isTall={FOLDED.has(props.entry.kind)} />
      <div className="min-w-0 grow">
        <Body {...props} />
      </div>
    </div>
  );
});

/** A link as the browser knows it: hundreds of the router's own would be the most work of a scroll. */
function LineLink({ seq, isTall }: { seq: number; isTall: boolean }) {
  const { run, goToLine } = useRun();
  return (
    <a
      href={`/rooms/${run.chatroomId}/runs/${run.runId}?line=${seq}`}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        goToLine(seq);
      }}
      title={`Link to line ${seq}`}
      className={cx(
        'w-12 shrink-0 text-right font-mono text-xs leading-6 text-quiet hover:text-ink hover:underline md:w-16',
        isTall && 'pointer-coarse:leading-10',
      )}
    >
      {seq}
    </a>
  );
}

function Body({ entry, isOpen, toggle }: EntryProps) {
  const turn = () => toggle(entry.seq);
  switch (entry.kind) {
    case 'message':
      return <Prose text={entry.text} className="max-w-[80ch] py-0.5" />;
    case 'thought':
      return (
        <FoldLine isOpen={isOpen} onClick={turn} label={<span className="italic">Thought</span>} about={firstLine(entry.text)} dim>
          <p className="max-w-[80ch] py-1 pl-5 whitespace-pre-wrap text-quiet italic">{entry.text}</p>
        </FoldLine>
      );
    case 'call':
      return <Call call={entry} isOpen={isOpen} toggle={turn} />;
    case 'result':
      return (
        <FoldLine
          isOpen={isOpen}
          onClick={turn}
          label="Output"
          about={firstLine(printed(entry.result.output))}
          end={entry.result.isError && <Failed />}
        >
          <Output text={entry.result.output} isError={entry.result.isError} />
        </FoldLine>
      );
    case 'prompt':
      return <Prompt entry={entry} isOpen={isOpen} toggle={turn} />;
    case 'turn':
      return <TurnEnd entry={entry} />;
    case 'question':
      return <Question question={entry} isOpen={isOpen} toggle={turn} />;
    case 'repeated':
      return <Repeated title={entry.title} input={entry.input} isOpen={isOpen} toggle={turn} />;
    case 'interrupt':
      return (
        <Line icon={<Hand size={14} aria-hidden />} at={entry.at}>
          {entry.by ? `${entry.by.name} interrupted the turn` : 'The turn was interrupted'}
        </Line>
      );
    case 'stop':
      return (
        <Line icon={<CircleStop size={14} aria-hidden />} at={entry.at}>
          {entry.by ? `${entry.by.name} stopped the run` : 'The run was told to stop'}
        </Line>
      );
    case 'notice':
      return (
        <Line icon={<Info size={14} aria-hidden />} at={entry.at}>
          {entry.text}
        </Line>
      );
    case 'exit':
      return (
        <Line icon={<LogOut size={14} aria-hidden />} at={entry.at} bad={!entry.requested}>
          The program ended: {entry.reason}
        </Line>
      );
  }
}

/** Something that happened, in one line. */
function Line({ icon, at, bad, children }: { icon: ReactNode; at: number; bad?: boolean; children: ReactNode }) {
  return (
    <p className={cx('flex min-h-6 items-start gap-2 leading-6', bad ? 'text-red' : 'text-quiet')}>
      <span className="mt-[5px] shrink-0">{icon}</span>
      <span className="min-w-0 grow whitespace-pre-wrap">{children}</span>
      <Clock at={at} className="shrink-0 text-sm leading-6 text-quiet" />
    </p>
  );
}

/** More characters than these are folded. */
const LONG_PROMPT = 600;

function Prompt({ entry, isOpen, toggle }: { entry: PromptEntry; isOpen: boolean; toggle: () => void }) {
  const text = entry.text ?? '';
  // The platform tells how to go on in every prompt of its own; what matters is what it quotes.
  const quote = entry.from?.kind === 'task' || entry.from?.kind === 'reminder' ? quoted(text) : '';
  const isLong = quote !== '' || text.length > LONG_PROMPT || text.split('\n').length > 10;
  return (
    <section className="my-1 max-w-[88ch] rounded-md border border-line bg-panel px-3 py-2">
      <h2 className="flex items-center gap-2 text-sm text-quiet">
        <User size={14} aria-hidden />
        <span className="grow font-medium">{whoFrom(entry)}</span>
        <Clock at={entry.at} />
      </h2>
      {entry.text === undefined && <p className="text-quiet">Its text was not kept.</p>}
      {isLong && !isOpen ? (
        <p className="mt-1 line-clamp-6 text-lg whitespace-pre-wrap">{quote || text}</p>
      ) : (
        <p className="mt-1 text-lg whitespace-pre-wrap">{text}</p>
      )}
      {isLong && (
        <button type="button" onClick={toggle} className="mt-1 text-sm text-accent hover:underline">
          {isOpen ? 'Show less' : 'Show the whole prompt'}
        </button>
      )}
    </section>
  );
}

export function whoFrom({ from }: Pick<PromptEntry, 'from'>): string {
  switch (from?.kind) {
    case 'task':
      return 'Task';
    case 'reminder':
      return 'Reminder to hand off';
    case 'follow_up':
      return from.by ? `${from.by.name}, follow-up` : 'Follow-up';
    default:
      return 'Prompt';
  }
}

const OUTCOMES = { end: 'Turn ended', interrupted: 'Turn interrupted', error: 'Turn failed' };

function TurnEnd({ entry }: { entry: TurnEntry }) {
  const isError = entry.outcome === 'error';
  return (
    <div className={cx('border-b border-line pb-2 text-sm leading-6', isError ? 'text-red' : 'text-quiet')}>
      <p className="flex flex-wrap gap-x-3">
        <span>{OUTCOMES[entry.outcome] ?? 'Turn ended'}</span>
        {entry.took !== undefined && <span>{duration(entry.took)}</span>}
        {entry.usage && (
          <span title={`${entry.usage.input} tokens read, ${entry.usage.output} written`}>
            {short(entry.usage.input)} tokens in, {short(entry.usage.output)} out
          </span>
        )}
      </p>
      {entry.detail && <p className="mt-0.5 whitespace-pre-wrap">{entry.detail}</p>}
    </div>
  );
}

function Repeated(props: { title: string; input: string; isOpen: boolean; toggle: () => void }) {
  const { run } = useRun();
  return (
    <FoldLine
      isOpen={props.isOpen}
      onClick={props.toggle}
      label="Allowed before"
      about={summary(props.title, run.workingDir)}
      dim
    >
      <Output text={props.input} isError={false} />
    </FoldLine>
  );
}
