// A change of a file: what goes and what comes, under one another, or side by side where there is room.

import { diffLines } from 'diff';
import { useMemo, useState, type ReactNode } from 'react';
import { Button } from './button';
import { languageOf, Tokens, useHighlight, visible } from './code';
import { cx } from './cx';
import type { Token } from './highlight';
import { useMedia } from './media';

/** A line of a change, with its place in the text before and the text after, from 0. */
export interface DiffLine {
  kind: 'same' | 'add' | 'del' | 'gap';
  text: string;
  before?: number;
  after?: number;
}

export interface Change {
  lines: DiffLine[];
  added: number;
  removed: number;
}

/** How many lines that stay are shown around those that change. */
const AROUND = 3;
/** How many lines are shown before one asks for more. */
const FOLD = 40;

/** Compares two texts line by line. */
export function changeOf(before: string, after: string): Change {
  const all: DiffLine[] = [];
  let [was, is] = [0, 0];
  for (const part of diffLines(before, after, { maxEditLength: 4000 }) ?? [
    // Too different to be told apart in reasonable time.
    { value: before, removed: true, added: false },
    { value: after, added: true, removed: false },
  ]) {
    for (const text of linesOf(part.value)) {
      if (part.added) all.push({ kind: 'add', text, after: is++ });
      else if (part.removed) all.push({ kind: 'del', text, before: was++ });
      else all.push({ kind: 'same', text, before: was++, after: is++ });
    }
  }
  return { ...counted(all), lines: nearby(all) };
}

/** Reads a change as `diff` and `apply_patch` write it. No line is left out: somebody may be asked to allow it. */
export function changeOfPatch(patch: string): Change {
  const all = linesOf(patch);
  const lines = all.map((line, index): DiffLine => {
    // A line that begins with two dashes looks the same when it goes, but no file's name follows it.
    const isName =
      (line.startsWith('--- ') && all[index + 1]?.startsWith('+++ ')) ||
      (line.startsWith('+++ ') && all[index - 1]?.startsWith('--- '));
    if (isName || !/^[-+ ]/.test(line)) return { kind: 'gap', text: line };
    if (line.startsWith('+')) return { kind: 'add', text: line.slice(1) };
    if (line.startsWith('-')) return { kind: 'del', text: line.slice(1) };
    return { kind: 'same', text: line.slice(1) };
  });
  return { ...counted(lines), lines };
}

function linesOf(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
}

function counted(lines: DiffLine[]) {
  return {
    added: lines.filter((line) => line.kind === 'add').length,
    removed: lines.filter((line) => line.kind === 'del').length,
  };
}

/** Leaves out what stays, except next to what changes. */
function nearby(lines: DiffLine[]): DiffLine[] {
  const near = new Uint8Array(lines.length);
  for (const [index, line] of lines.entries()) {
    if (line.kind !== 'same') near.fill(1, Math.max(0, index - AROUND), index + AROUND + 1);
  }
  const shown: DiffLine[] = [];
  for (const [index, line] of lines.entries()) {
    if (near[index]) shown.push(line);
    else if (shown.at(-1)?.kind !== 'gap') shown.push({ kind: 'gap', text: '' });
  }
  return shown;
}

/** Puts what goes beside what comes in its place. */
export function sideBySide(lines: readonly DiffLine[]): [DiffLine | undefined, DiffLine | undefined][] {
  const rows: [DiffLine | undefined, DiffLine | undefined][] = [];
  let gone: DiffLine[] = [];
  let come: DiffLine[] = [];
  const flush = () => {
    for (let row = 0; row < Math.max(gone.length, come.length); row++) rows.push([gone[row], come[row]]);
    gone = [];
    come = [];
  };
  for (const line of lines) {
    if (line.kind === 'del') gone.push(line);
    else if (line.kind === 'add') come.push(line);
    else {
      flush();
      rows.push([line, line]);
    }
  }
  flush();
  return rows;
}

type Source = { before: string; after: string } | { patch: string };

/** Shows a change, its first lines until one asks for all. */
export function Diff({ path, ...source }: { path: string } & Source) {
  const before = 'patch' in source ? '' : visible(source.before);
  const after = 'patch' in source ? '' : visible(source.after);
  const patch = 'patch' in source ? visible(source.patch) : undefined;
  const change = useMemo(
    () => (patch === undefined ? changeOf(before, after) : changeOfPatch(patch)),
    [before, after, patch],
  );
  const language = languageOf(path);
  const was = useHighlight(before, language);
  const is = useHighlight(after, language);
  const [all, setAll] = useState(false);
  const split = useMedia('(width >= 1400px)') && change.removed > 0 && change.added > 0;
  const lines = all ? change.lines : change.lines.slice(0, FOLD);
  const hidden = change.lines.length - lines.length;
  const code = (line: DiffLine): ReactNode => {
    const tokens: Token[] | undefined =
      line.after !== undefined ? is?.[line.after] : line.before !== undefined ? was?.[line.before] : undefined;
    return tokens ? <Tokens line={tokens} /> : line.text;
  };
  return (
    <div className="overflow-hidden rounded-md border [font-variant-ligatures:none] border-line bg-panel font-mono text-sm leading-5 [&_.hljs-comment]:text-quiet">
      <div tabIndex={0} role="group" aria-label={`Change of ${path || 'a file'}`} className="overflow-x-auto">
        {split ? (
          <div className="grid grid-cols-2">
            {sideBySide(lines).map(([left, right], row) => (
              <div key={row} className="contents">
                <Line line={left} code={code} className="border-r border-line break-all whitespace-pre-wrap" />
                <Line line={right} code={code} className="break-all whitespace-pre-wrap" />
              </div>
            ))}
          </div>
        ) : (
          <div className="w-max min-w-full">
            {lines.map((line, row) => (
              <Line key={row} line={line} code={code} className="whitespace-pre" />
            ))}
          </div>
        )}
      </div>
      {hidden > 0 && (
        <Button look="quiet" size="small" className="m-1" onClick={() => setAll(true)}>
          Show {hidden} more {hidden === 1 ? 'line' : 'lines'}
        </Button>
      )}
    </div>
  );
}

const LOOKS = { same: '', add: 'bg-add', del: 'bg-del', gap: 'bg-sunken text-faint' };
const SIGNS = { same: ' ', add: '+', del: '−', gap: '⋯' };

function Line({
  line,
  code,
  className,
}: {
  line: DiffLine | undefined;
  code: (line: DiffLine) => ReactNode;
  className: string;
}) {
  if (!line) return <div className={cx('bg-sunken', className)} />;
  return (
    <div className={cx('flex min-w-0', LOOKS[line.kind], className)}>
      <span className="w-6 shrink-0 text-center text-quiet select-none" aria-hidden>
        {SIGNS[line.kind]}
      </span>
      {line.kind === 'add' && <span className="sr-only">Added: </span>}
      {line.kind === 'del' && <span className="sr-only">Removed: </span>}
      <span className="min-w-0 grow pr-3">{line.kind === 'gap' ? line.text : code(line)}</span>
    </div>
  );
}
