// What agents and people write. HTML in it is shown as text, never as HTML.

import { memo, useMemo } from 'react';
import Markdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { Code } from './code';
import { cx } from './cx';

/** Longer texts stay plain: taking them apart would hold up the page. */
const MOST = 100_000;

const components: Components = {
  a: ({ href, title, children }) => (
    <a href={href} title={title} target="_blank" rel="noreferrer">
      {children}
    </a>
  ),
  // A picture from elsewhere would tell that host who reads this; nothing is loaded from another host.
  img: ({ src, alt }) =>
    typeof src === 'string' && src !== '' ? (
      <a href={src} target="_blank" rel="noreferrer">
        {alt || src}
      </a>
    ) : (
      alt
    ),
  input: ({ checked }) => <input type="checkbox" checked={checked} readOnly disabled aria-label={checked ? 'Done' : 'To do'} />,
  pre: ({ children }) => children,
  code: ({ className, children }) => {
    const text = String(children);
    const language = /language-(\S+)/.exec(className ?? '')?.[1];
    // Only a block ends with a line feed.
    return language !== undefined || text.endsWith('\n') ? (
      <Code text={text.replace(/\n$/, '')} language={language} />
    ) : (
      <code>{text}</code>
    );
  },
};

const plugins = [remarkGfm];

/** One part of a text. Those that are whole are not taken apart again while more is being written behind them. */
const Part = memo(function Part({ text }: { text: string }) {
  return (
    <Markdown remarkPlugins={plugins} components={components}>
      {text}
    </Markdown>
  );
});

export function Prose({ text, className }: { text: string; className?: string }) {
  const parts = useMemo(() => (text.length > MOST ? undefined : partsOf(text)), [text]);
  return (
    <div className={cx('prose min-w-0', className)}>
      {parts ? (
        parts.map((part, index) => <Part key={index} text={part} />)
      ) : (
        <pre className="font-sans whitespace-pre-wrap">{text}</pre>
      )}
    </div>
  );
}

/**
 * Cuts a text at blank lines where nothing goes on behind them: not in fenced code, a list, a quote or a table.
 *
 * A text whose parts refer to one another stays whole.
 */
export function partsOf(text: string): string[] {
  if (/^ {0,3}\[[^\]]+\]:/m.test(text)) return [text];
  const parts: string[] = [];
  let part: string[] = [];
  let fence: string | undefined;
  let blank = false;
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === undefined && blank && part.length > 0 && /^(?![-*+>|\s]|\d+[.)]\s)/.test(line) && line !== '') {
      parts.push(part.join('\n'));
      part = [];
    }
    if (mark !== undefined) {
      if (fence === undefined) fence = mark;
      else if (mark.startsWith(fence)) fence = undefined;
    }
    blank = line.trim() === '';
    part.push(line);
  }
  if (part.length > 0) parts.push(part.join('\n'));
  return parts;
}
