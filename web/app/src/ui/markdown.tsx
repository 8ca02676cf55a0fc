// What people and agents write, as Markdown. Raw HTML stays text, and an image is loaded from here alone.

import { memo } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { cx } from './cx';

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noreferrer">
      {children}
    </a>
  ),
  img: ({ src, alt }) =>
    typeof src === 'string' && src.startsWith('/') && !src.startsWith('//') ? (
      <img src={src} alt={alt ?? ''} loading="lazy" />
    ) : (
      <span>{alt || src}</span>
    ),
  pre: ({ children }) => (
    <pre className="overflow-x-auto rounded-md border border-line bg-sunken p-3 font-mono text-sm">{children}</pre>
  ),
};

export const Markdown = memo(function Markdown({ text, className }: { text: string; className?: string }) {
  return (
    <div className={cx('prose min-w-0', className)}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={components}>
        {text}
      </ReactMarkdown>
    </div>
  );
});
