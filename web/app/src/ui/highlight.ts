// Colours for code. Large, so it is a file of its own that is loaded with the first code that is shown.

import { common, createLowlight } from 'lowlight';

const lowlight = createLowlight(common);

/** A piece of a line, and what it is. */
export interface Token {
  text: string;
  look?: string;
}

interface Node {
  type: string;
  value?: string;
  properties?: { className?: unknown };
  children?: Node[];
}

/** Returns the lines of code in pieces; nothing for a language that is not known. */
export function highlight(code: string, language: string): Token[][] | undefined {
  if (!lowlight.registered(language)) return undefined;
  const lines: Token[][] = [[]];
  const walk = (node: Node, look: string | undefined) => {
    if (node.type === 'text') {
      for (const [index, text] of (node.value ?? '').split('\n').entries()) {
        if (index > 0) lines.push([]);
        if (text) lines.at(-1)?.push(look === undefined ? { text } : { text, look });
      }
      return;
    }
    const names = node.properties?.className;
    const own = Array.isArray(names) ? names.join(' ') : look;
    for (const child of node.children ?? []) walk(child, own);
  };
  walk(lowlight.highlight(language, code) as Node, undefined);
  return lines;
}
