// By the keyboard alone: through lists, to what is open, and what an agent asks. `?` lists what works where one is.

import { ask, check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open('/');
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const at = (name) => page.getByRole('heading', { name, level: 1 }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.closest('[data-row], article')?.textContent ?? '');
  const reaches = (text) => until(`the focus is at ${text}`, async () => (await focused()).includes(text));
  const listed = async () => {
    await press('?');
    const keys = await page.getByRole('dialog').locator('kbd').allInnerTexts();
    await press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    return keys.join(' ');
  };
  const everywhere = 'g r g m g a Ctrl K ? Esc';

  // The rail: the newest room is the first.
  await at('Rooms');
  await page.getByRole('link', { name: 'third' }).first().waitFor();
  await press('j');
  await reaches('third');
  await press('j', 'j', 'k');
  await reaches('second');
  await press('Enter');
  await at('second');

  await press('g', 'm');
  await at('Machines');
  const onMachines = await listed();
  check('what is listed there', onMachines === `j k Enter ${everywhere}`, onMachines);
  await press('j');
  await reaches(given.alias);
  await press('Enter');
  await at(given.alias);
  await page.getByText('Ping', { exact: true }).nth(1).waitFor();
  await press('j', 'j');
  await reaches('Ping');
  await press('Escape');
  await at('Machines');
  await press('g', 'a');
  await at('Activity');
  await page.locator('main').getByRole('listitem').filter({ hasText: 'second' }).first().waitFor();
  await press('j', 'j');
  await until('a row of it has the focus', async () => (await page.evaluate(() => document.activeElement?.dataset.row)) === '1');
  await press('g', 'r');
  await at('Rooms');

  // The room of the agent: the first press leads to what it asks, the second answers.
  await page.goto(new URL(`/rooms/${given.room}`, page.url()).href);
  const builder = page.getByRole('article', { name: 'builder' });
  await builder.getByText('Waiting').waitFor();
  const inRoom = await listed();
  check('what is listed in a room', inRoom.startsWith('a d i . ') && inRoom.endsWith(`j k Enter ${everywhere}`), inRoom);
  await press('.');
  await page.getByRole('menuitem', { name: 'Archive' }).waitFor();
  await press('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  await until('the focus is back', () => page.evaluate(() => document.activeElement?.dataset.key === '.'));
  await ask('tell', '[[run: touch by-keys.txt]]');
  await builder.getByText('Needs you').waitFor();
  await press('a');
  await reaches('by-keys.txt');
  check('nothing is answered by what only leads there', await builder.getByText('Needs you').isVisible());
  await press('.');
  await page.getByRole('menuitem', { name: 'Set up' }).waitFor();
  await press('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  // A menu gives the focus back a moment later.
  await reaches('by-keys.txt');
  await press('a');
  await builder.getByText('Waiting').waitFor();
  await ask('tell', '[[hang]]');
  await builder.getByText('Working').waitFor();
  await builder.focus();
  await press('i');
  await builder.getByText('Waiting').waitFor();

  // Its run, and back.
  await builder.getByRole('link', { name: 'Open run' }).click();
  await page.locator('main [data-seq]').first().waitFor();
  const inRun = await listed();
  check('what is listed in a run', ['j', 'k', 'G', 'i', '/', 'Esc'].every((key) => inRun.split(' ').includes(key)), inRun);
  check('and no answer where nothing is asked', !inRun.includes('a d'), inRun);
  await press('j', '/');
  await page.getByLabel('Text to find').waitFor();
  await press('Escape', 'Escape');
  await until('Escape leads back to the room', async () => !page.url().includes('/runs/'));
});
