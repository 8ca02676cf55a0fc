// Light, dark, or what the computer says. `theme.js` puts it in place before the first paint.

import { toast } from 'sonner';

export type Theme = 'light' | 'dark' | 'system';
const THEMES: Theme[] = ['system', 'light', 'dark'];

export function theme(): Theme {
  const set = document.documentElement.dataset.theme;
  return set === 'light' || set === 'dark' ? set : 'system';
}

export function setTheme(next: Theme): void {
  if (next === 'system') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem('theme');
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem('theme', next);
  }
}

export function cycleTheme(): void {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] ?? 'system';
  setTheme(next);
  toast(next === 'system' ? 'The computer’s choice of light or dark' : `Always ${next}`);
}
