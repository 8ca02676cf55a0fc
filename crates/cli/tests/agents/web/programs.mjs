// A run of each agent program reads the same: its calls with what came back, its edits as diffs, its words as prose.

import { check, given, PHONE, tell } from './driver.mjs';

await tell(async ({ person }) => {
  const desk = await person({ cookie: given.cookie });
  const phone = await person({ cookie: given.cookie, ...PHONE });
  const look = async (page, name) => {
    if (!given.folder) return;
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: `${given.folder}/${name}.png` });
  };
  for (const [tool, run] of Object.entries(given.runs)) {
    const address = `/rooms/${given.room}/runs/${run}`;
    const page = await desk.open(address);
    await page.getByRole('heading', { name: 'It is changed' }).waitFor();
    const change = page.getByRole('group', { name: 'Change of' });
    const text = await change.first().innerText();
    check(`${tool}: the edit is drawn as one`, text.includes('hello') && text.includes('good morning'), text);
    const calls = page.locator('main button[aria-expanded]');
    const told = await calls.allInnerTexts();
    check(`${tool}: the edit counts its lines`, told.some((line) => /greet\.py/.test(line) && /\+1/.test(line)), told);
    const shell = calls.filter({ hasText: 'python3 greet.py' }).first();
    await shell.click();
    await page.locator('main pre').filter({ hasText: /^good morning/ }).waitFor();
    check(`${tool}: the command stands by itself`, (await shell.innerText()).includes('python3 greet.py'));
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await look(page, `${tool}-${colorScheme}`);
    }
    await page.close();
    const small = await phone.open(address);
    await small.getByRole('heading', { name: 'It is changed' }).waitFor();
    const wide = await small.evaluate(() => document.documentElement.scrollWidth);
    check(`${tool}: nothing is wider than a phone`, wide <= 390, wide);
    await look(small, `${tool}-phone`);
    await small.close();
  }
  if (!given.folder) return;
  // Every other page on a phone, to be looked at.
  for (const [name, path] of Object.entries(given.pages)) {
    const page = await phone.open(path);
    await page.locator('h1').first().waitFor();
    await page.getByRole('status', { name: 'Loading' }).first().waitFor({ state: 'detached' });
    await look(page, `${name}-phone`);
    await page.close();
  }
});
