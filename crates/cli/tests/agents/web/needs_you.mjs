// The start page shows everything that waits for its reader, in however many rooms.

import { check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open('/');
  const section = page.getByRole('region', { name: 'Needs you' });
  const rows = section.getByRole('listitem');
  await until('every room is there', async () => (await rows.count()) === given.rooms.length);
  const text = await section.innerText();
  const missing = given.rooms.filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  check('each by its name', missing.length === 0, missing);
  // Those it looks into by their agents, the others by what their rooms say.
  await until('12 are told by their agents', async () => (await section.getByText('builder').count()) === 12);
  check('the others are', (await section.getByText('an agent gave up').count()) === given.rooms.length - 12, await section.innerText());
  const rail = page.getByRole('navigation', { name: 'Main' }).first();
  await rail.getByRole('link', { name: `Needs you ${given.rooms.length}` }).click();
  await page.getByRole('heading', { name: 'Needs you', level: 1 }).waitFor();
  await until('its own page has the same', async () => (await page.locator('main').getByRole('listitem').count()) === given.rooms.length);
});
