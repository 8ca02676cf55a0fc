// What a call of a tool is about, in one line.

/** What names a call best, in this order: what it runs, what it touches, what it looks for. */
const TELLING = [
  'command',
  'cmd',
  'file_path',
  'filePath',
  'pattern',
  'query',
  'url',
  'notebook_path',
  'path',
  'description',
  'prompt',
  'name',
  'title',
];

/** Returns the input of a call as JSON, or nothing: it may be text, or cut off where it was too long. */
export function asJson(input: string): unknown {
  const start = input.trimStart().charAt(0);
  if (start !== '{' && start !== '[') return undefined;
  try {
    return JSON.parse(input);
  } catch {
    return undefined;
  }
}

/** What a log writes in place of the rest. */
const CUT = /\n\[cut: \d+ more bytes\]$/;

/** Returns what is whole, or begun, of JSON that the log cut off; nothing of other text. */
export function asCut(input: string): unknown {
  if (!CUT.test(input)) return undefined;
  const text = input.replace(CUT, '');
  const open: string[] = [];
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const sign = text.charAt(at);
    if (isText && sign === '\\') at += 1;
    else if (sign === '"') isText = !isText;
    else if (isText) continue;
    else if (sign === '{') open.push('}');
    else if (sign === '[') open.push(']');
    else if (sign === '}' || sign === ']') open.pop();
  }
  const end = (isText ? '"' : '') + open.toReversed().join('');
  // It may end within an escape, the longest of which has six signs.
  for (let less = 0; less < 6; less++) {
    try {
      return JSON.parse(text.slice(0, text.length - less) + end);
    } catch {
      // One sign less may be whole.
    }
  }
  return undefined;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns one line about an input; paths are told from the directory the run works in. */
export function summary(input: string, workingDir: string): string {
  const found = asJson(input);
  let text: string | undefined;
  if (isRecord(found)) {
    const key = TELLING.find((candidate) => typeof found[candidate] === 'string' && found[candidate] !== '');
    const values = Object.values(found).filter((value) => typeof value === 'string' || typeof value === 'number');
    text = key === undefined ? values.map(String).join(' ') : String(found[key]);
  } else {
    text = found === undefined ? (cutOff(input) ?? input) : input;
  }
  const line = text.trim().split('\n', 1)[0] ?? '';
  return shortPath(line, workingDir).slice(0, 400);
}

/** Finds the telling value at the beginning of JSON that ends too early. */
function cutOff(input: string): string | undefined {
  for (const key of TELLING) {
    const found = new RegExp(`"${key}"\\s*:\\s*"((?:[^"\\\\]|\\\\.){1,2000})`).exec(input.slice(0, 20_000))?.[1];
    if (found !== undefined) return found.replaceAll('\\n', '\n').replaceAll('\\"', '"').replaceAll('\\\\', '\\');
  }
  return undefined;
}

export function shortPath(path: string, workingDir: string): string {
  return workingDir.length > 1 && path.startsWith(`${workingDir}/`) ? path.slice(workingDir.length + 1) : path;
}

// What a terminal would take for colours, titles and moves of its cursor.
const CONTROLS = /\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

/** Returns output as it is read: without colours, and of a line that was written over, what was written last. */
export function printed(output: string): string {
  return output.replace(CONTROLS, '').replace(/\r+\n/g, '\n').replace(/^.*\r(?=.)/gm, '');
}

export interface Tail {
  shown: string;
  /** How many lines come before. */
  hidden: number;
}

/** Returns the last lines of a text. A line feed at its end begins no line. */
export function tail(text: string, lines: number): Tail {
  const end = text.endsWith('\n') ? text.length - 1 : text.length;
  let at = end;
  for (let count = 0; count < lines; count++) {
    at = at > 0 ? text.lastIndexOf('\n', at - 1) : -1;
    if (at < 0) return { shown: text.slice(0, end), hidden: 0 };
  }
  return { shown: text.slice(at + 1, end), hidden: text.slice(0, at).split('\n').length };
}

/** Numbers of tokens, short: `980`, `12.4k`, `1.2M`. */
export function short(count: number): string {
  if (count < 1000) return String(count);
  if (count < 999_950) return `${(count / 1000).toFixed(count < 99_950 ? 1 : 0)}k`;
  return `${(count / 1_000_000).toFixed(1)}M`;
}
