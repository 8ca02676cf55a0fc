import { Check, Copy } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { colour, colouredBefore } from './colour';
import type { Token } from './highlight';

/** Longer code stays plain: colouring it would hold up the page. */
const MOST = 20_000;

const LANGUAGES: Record<string, string> = {
  cjs: 'javascript',
  htm: 'xml',
  html: 'xml',
  js: 'javascript',
  jsx: 'javascript',
  kt: 'kotlin',
  md: 'markdown',
  mjs: 'javascript',
  py: 'python',
  rb: 'ruby',
  rs: 'rust',
  sh: 'bash',
  svg: 'xml',
  toml: 'ini',
  ts: 'typescript',
  tsx: 'typescript',
  vue: 'xml',
  yml: 'yaml',
  zsh: 'bash',
};

/** Returns the language of a file, by its name. */
export function languageOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const end = name.slice(name.lastIndexOf('.') + 1);
  return LANGUAGES[end] ?? end;
}

/** Returns code in coloured pieces, line by line, once there was time to colour it: a scroll does not wait for that. */
export function useHighlight(code: string, language: string): Token[][] | undefined {
  const wanted = language !== '' && code.length <= MOST;
  const [coloured, setColoured] = useState<{ code: string; language: string; lines: Token[][] | undefined }>();
  const known = wanted ? colouredBefore(code, language) : undefined;
  const isKnown = known !== undefined;
  useEffect(() => {
    if (!wanted || isKnown) return;
    return colour(code, language, (lines) => setColoured({ code, language, lines }));
  }, [wanted, isKnown, code, language]);
  return known ?? (coloured?.code === code && coloured.language === language ? coloured.lines : undefined);
}

export function Tokens({ line }: { line: Token[] }): ReactNode {
  return line.map((token, index) =>
    token.look ? (
      <span key={index} className={token.look}>
        {token.text}
      </span>
    ) : (
      token.text
    ),
  );
}

// Characters that change the order in which others are drawn, or are not drawn at all.
const UNSEEN = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Shows characters that nobody sees: a command must not do what it does not seem to do. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (unseen) => `⟨U+${unseen.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

/** Code as a block of its own: coloured where its language is known, and copied by a click. */
export function Code({ text, language = '' }: { text: string; language?: string | undefined }) {
  const shown = visible(text);
  const lines = useHighlight(shown, LANGUAGES[language] ?? language);
  return (
    <div className="group/code relative [font-variant-ligatures:none]">
      <pre
        // A long line is scrolled to, by keys as well.
        tabIndex={0}
        className="overflow-x-auto rounded-md border border-line bg-sunken px-3 py-2 font-mono text-sm leading-5"
      >
        <code>
          {lines
            ? lines.map((line, index) => (
                <span key={index}>
                  {index > 0 && '\n'}
                  <Tokens line={line} />
                </span>
              ))
            : shown}
        </code>
      </pre>
      <CopyButton text={text} />
    </div>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const label = copied ? 'Copied' : 'Copy';
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
      className="absolute top-1 right-1 rounded-sm border border-line bg-panel p-1 text-quiet opacity-0 group-hover/code:opacity-100 hover:text-ink focus-visible:opacity-100 pointer-coarse:opacity-100"
    >
      {copied ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
    </button>
  );
}
