// Which calls change a file, and how: every tool says it in its own words.

import { asJson, isRecord } from './summary';

/** What a call changes: pieces of a file, or a patch in the words of `diff`. */
export type Edit = { path: string; pieces: Piece[] } | { path: string; patch: string };

export interface Piece {
  before: string;
  after: string;
}

const text = (record: Record<string, unknown>, ...keys: string[]): string | undefined => {
  const key = keys.find((candidate) => typeof record[candidate] === 'string');
  return key === undefined ? undefined : (record[key] as string);
};

/** Returns what a call, or a question about one, would change; nothing if it is no edit that is known whole. */
export function editOf(name: string, input: string): Edit | undefined {
  const found = asJson(input);
  if (!isRecord(found)) return undefined;
  const patch = text(found, 'patchText', 'patch', 'diff');
  const path = text(found, 'file_path', 'filePath', 'path') ?? '';
  if (patch !== undefined && /^(@@|[-+]|\*\*\* )/m.test(patch)) return { path: path || patched(patch), patch };
  // The questions of opencode and Cursor tell the change in their content.
  const parts = [found, ...list(found.edits), ...list(found.content)];
  const pieces = parts.flatMap((part): Piece[] => {
    const before = text(part, 'old_string', 'oldString', 'oldText', 'old_text');
    const after = text(part, 'new_string', 'newString', 'newText', 'new_text');
    return after === undefined ? [] : [{ before: before ?? '', after }];
  });
  const place = path || list(found.content).map((part) => text(part, 'path'))[0] || '';
  if (pieces.length > 0) return { path: place, pieces };
  const content = text(found, 'content', 'contents', 'file_text');
  if (path && content !== undefined && /write|create/i.test(name)) return { path, pieces: [{ before: '', after: content }] };
  return undefined;
}

const list = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);

/** Returns the file a patch names. */
function patched(patch: string): string {
  return /^(?:\+\+\+ (?:b\/)?|\*\*\* (?:Update|Add|Delete) File: )(.+)$/m.exec(patch)?.[1] ?? '';
}
