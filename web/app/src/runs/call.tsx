// A call of a tool: what for, for how long, what it was given and what came back.

import { useMemo, useState } from 'react';
import { Button } from '../ui/button';
import { Code, visible } from '../ui/code';
import { cx } from '../ui/cx';
import { changeOf, changeOfPatch, Diff } from '../ui/diff';
import { duration, useNow } from '../ui/time';
import { useRun } from './context';
import { editOf, PATHS, type Edit } from './edits';
import { Failed, FoldLine } from './fold-line';
import type { CallEntry } from './fold';
import { asJson, isRecord, printed, shortPath, summary, tail } from './summary';

export function Call({ call, isOpen, toggle }: { call: CallEntry; isOpen: boolean; toggle: () => void }) {
  const { run, isLive } = useRun();
  const { result } = call;
  const own = useMemo(() => editOf(call.name, call.input), [call.name, call.input]);
  // Some tools say what they changed only afterwards.
  const told = useMemo(() => (own || !result || result.isError ? undefined : editOf(call.name, result.output)), [own, result, call.name]);
  const edit = own ?? told;
  const about = useMemo(
    () => {
      if (edit?.path) return shortPath(edit.path, run.workingDir);
      return edit?.isCut ? 'a long file' : summary(call.input, run.workingDir);
    },
    [edit, call.input, run.workingDir],
  );
  return (
    <FoldLine
      isOpen={isOpen}
      onClick={toggle}
      label={call.name}
      about={
        <>
          {about}
          {edit && <Counts edit={edit} />}
        </>
      }
      end={
        <>
          {result?.isError && <Failed />}
          <span className="w-20 shrink-0 text-right text-sm text-quiet">
            {result ? duration(result.at - call.at) : isLive ? <Since at={call.at} /> : 'no answer'}
          </span>
        </>
      }
    >
      <div className="flex flex-col gap-2 py-1 pl-5">
        {edit ? (
          <Edited edit={edit} input={own ? call.input : ''} shown={PATHS} />
        ) : (
          <Input text={call.input} name={call.name} />
        )}
        {result && (!edit || result.isError) && <Output text={result.output} isError={result.isError} />}
      </div>
    </FoldLine>
  );
}

function Since({ at }: { at: number }) {
  return <>{duration(Math.max(0, useNow() - at))}</>;
}

function Counts({ edit }: { edit: Edit }) {
  const { added, removed } = useMemo(() => {
    const changes = 'patch' in edit ? [changeOfPatch(edit.patch)] : edit.pieces.map((piece) => changeOf(piece.before, piece.after));
    return {
      added: changes.reduce((sum, change) => sum + change.added, 0),
      removed: changes.reduce((sum, change) => sum + change.removed, 0),
    };
  }, [edit]);
  return (
    <span className="ml-3">
      {added > 0 && <span className="text-accent">+{added}</span>}
      {removed > 0 && <span className="ml-1.5 text-red">−{removed}</span>}
    </span>
  );
}

/** What an edit changes, piece by piece, and whatever else its call says. */
export function Edited({ edit, input, shown = [] }: { edit: Edit; input: string; shown?: readonly string[] }) {
  return (
    <>
      {'patch' in edit ? (
        <Diff path={edit.path} patch={edit.patch} />
      ) : (
        edit.pieces.map((piece, index) => <Diff key={index} path={edit.path} {...piece} />)
      )}
      {edit.isCut && <p className="text-sm text-quiet">The log had no room for the rest of it.</p>}
      <Rest input={input} shown={[...edit.shown, ...shown]} />
    </>
  );
}

/** The input of a call: a command as one runs it, other JSON as one reads it. */
export function Input({ text, name }: { text: string; name: string }) {
  const found = useMemo(() => asJson(text), [text]);
  const isShell = /bash|shell|execute|terminal/i.test(name);
  if (isShell && isRecord(found) && typeof found.command === 'string') {
    return (
      <>
        <Code text={found.command} language="bash" />
        <Rest input={text} shown={COMMANDED} />
      </>
    );
  }
  return found === undefined ? <Code text={text} /> : <Code text={JSON.stringify(found, null, 2)} language="json" />;
}

const COMMANDED = ['command'];

/** What an input says beside what is shown of it already: nobody is to allow what they were not shown. */
function Rest({ input, shown }: { input: string; shown: readonly string[] }) {
  const found = asJson(input);
  if (!isRecord(found)) return null;
  const rest = Object.entries(found).filter(([key]) => !shown.includes(key));
  if (rest.length === 0) return null;
  return (
    <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-3 text-sm">
      {rest.map(([key, value]) => (
        <div key={key} className="contents">
          <dt className="text-quiet">{key}</dt>
          <dd className="font-mono whitespace-pre-wrap text-quiet">
            {visible(typeof value === 'string' ? value : JSON.stringify(value, null, 2))}
          </dd>
        </div>
      ))}
    </dl>
  );
}

const LINES = 20;
/** How many lines more are shown at once: all there are, unless that would hold up the page. */
const MORE = 2000;

/** What came back: its end, and more of it when one asks. */
export function Output({ text, isError }: { text: string; isError: boolean }) {
  const [lines, setLines] = useState(LINES);
  const { shown, hidden } = useMemo(() => tail(printed(text), lines), [text, lines]);
  if (text === '') return <p className="text-sm text-faint">No output.</p>;
  const more = Math.min(hidden, MORE);
  return (
    <div>
      {hidden > 0 && (
        <Button look="quiet" size="small" onClick={() => setLines(lines + more)}>
          Show {more} more {more === 1 ? 'line' : 'lines'}
        </Button>
      )}
      <pre
        tabIndex={0}
        className={cx(
          'max-h-[70dvh] overflow-auto border-l-2 pl-3 font-mono text-sm leading-5 whitespace-pre-wrap',
          isError ? 'border-red text-red' : 'border-line-strong text-quiet',
        )}
      >
        {shown}
      </pre>
    </div>
  );
}
