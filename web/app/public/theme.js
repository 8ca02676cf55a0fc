// Runs before the first paint, so that a page never shows in the wrong colours first.
try {
  const theme = localStorage.getItem('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the computer's own choice counts.
}
