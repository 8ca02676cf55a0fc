// Which calls change a file, and how: every tool says it in its own words.

import { asCut, asJson, isRecord } from './summary';

/** What a call changes: pieces of a file, or a patch in the words of `diff`. */
export type Edit = {
  path: string;
  /** The parts of the input that the change shows. */
  shown: readonly string[];
  /** Whether its end is missing: the log had no room for it. */
  isCut?: boolean;
} & ({ pieces: Piece[] } | { patch: string });

export interface Piece {
  before: string;
  after: string;
}

/** What the tools call the path of a file. */
export const PATHS = ['file_path', 'filePath', 'path'];
const BEFORE = ['old_string', 'oldString', 'oldText', 'old_text'];
const AFTER = ['new_string', 'newString', 'newText', 'new_text'];
const WHOLE = ['content', 'contents', 'file_text'];
const WRITES = /write|create/i;
const PATCHES = ['patchText', 'patch', 'diff'];

const text = (record: Record<string, unknown>, ...keys: string[]): string | undefined => {
  const key = keys.find((candidate) => typeof record[candidate] === 'string');
  return key === undefined ? undefined : (record[key] as string);
};

/** Returns what a call, or a question about one, would change; nothing if it is no edit that is known. */
export function editOf(name: string, input: string): Edit | undefined {
  const found = asJson(input);
  if (isRecord(found)) return editIn(name, found);
  const cut = asCut(input);
  if (!isRecord(cut)) return undefined;
  // What replaces something is told from it only whole; a file that is written is worth its beginning. Its path may be
  // in what is missing.
  const whole = WRITES.test(name) ? text(cut, ...WHOLE) : undefined;
  return whole === undefined
    ? undefined
    : { path: text(cut, ...PATHS) ?? '', pieces: [{ before: '', after: whole }], shown: WHOLE, isCut: true };
}

function editIn(name: string, found: Record<string, unknown>): Edit | undefined {
  const patch = text(found, ...PATCHES);
  const path = text(found, ...PATHS) ?? '';
  if (patch !== undefined && /^(@@|[-+]|\*\*\* )/m.test(patch)) return { path: path || patched(patch), patch, shown: PATCHES };
  const own = pieceOf(found);
  if (own) return { path, pieces: [own], shown: [...BEFORE, ...AFTER] };
  const edits = list(found.edits).map(pieceOf);
  if (edits.length > 0 && edits.every(isPiece)) return { path, pieces: edits, shown: ['edits'] };
  // The questions of opencode and Cursor tell the change in their content.
  const content = list(found.content);
  const told = content.map(pieceOf);
  if (told.length > 0 && told.every(isPiece)) {
    return { path: path || (content[0] && text(content[0], 'path')) || '', pieces: told, shown: ['content'] };
  }
  const whole = text(found, ...WHOLE);
  if (path && whole !== undefined && WRITES.test(name)) {
    return { path, pieces: [{ before: '', after: whole }], shown: WHOLE };
  }
  return undefined;
}

function pieceOf(part: Record<string, unknown>): Piece | undefined {
  const after = text(part, ...AFTER);
  return after === undefined ? undefined : { before: text(part, ...BEFORE) ?? '', after };
}

const isPiece = (piece: Piece | undefined): piece is Piece => piece !== undefined;

const list = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);

/** Returns the file a patch names. */
function patched(patch: string): string {
  return /^(?:\+\+\+ (?:b\/)?|\*\*\* (?:Update|Add|Delete) File: )(.+)$/m.exec(patch)?.[1] ?? '';
}
