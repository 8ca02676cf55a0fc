// A terminal as this app shows it, in the colours of its theme.

import { Terminal, type ITheme } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';

const FONT = '"JetBrains Mono Variable", ui-monospace, monospace';

/** Waits for the font, by which the cells are measured. */
export async function makeTerminal(options: { scrollback: number; readOnly: boolean }): Promise<Terminal> {
  await document.fonts.load(`13px ${FONT}`).catch(() => []);
  return new Terminal({
    fontFamily: FONT,
    fontSize: 13,
    scrollback: options.scrollback,
    disableStdin: options.readOnly,
    cursorBlink: false,
    screenReaderMode: true,
    // Programs choose colours for a ground they do not know.
    minimumContrastRatio: 4.5,
    theme: theme(),
  });
}

/** Keeps the colours of a terminal those of the page. Returns how to end that. */
export function followTheme(terminal: Terminal): () => void {
  const turn = () => {
    terminal.options.theme = theme();
  };
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', turn);
  const watcher = new MutationObserver(turn);
  watcher.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  return () => {
    dark.removeEventListener('change', turn);
    watcher.disconnect();
  };
}

function theme(): ITheme {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const isDark = style.colorScheme === 'dark';
  return {
    background: colour('sunken'),
    foreground: colour('ink'),
    cursor: colour('accent'),
    cursorAccent: colour('sunken'),
    selectionBackground: `${colour('accent')}48`,
    black: isDark ? '#2b2926' : '#23211e',
    red: colour('red'),
    green: colour('string'),
    yellow: colour('amber'),
    blue: colour('blue'),
    magenta: colour('code'),
    cyan: colour('accent'),
    white: isDark ? '#d6d0c7' : '#676159',
    brightBlack: colour('faint'),
    brightRed: colour('red'),
    brightGreen: colour('string'),
    brightYellow: colour('amber'),
    brightBlue: colour('blue'),
    brightMagenta: colour('violet'),
    brightCyan: colour('accent'),
    brightWhite: isDark ? '#ffffff' : '#3a3733',
  };
}
