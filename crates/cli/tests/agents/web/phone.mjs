// With a thumb: from the list to the room, to what an agent asks, and an answer.

import { check, given, PHONE, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie, ...PHONE });
  const page = await ada.open('/');
  const fits = async () => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check('nothing is wider than the phone', wide <= 390, page.url(), wide);
  };
  const bar = page.getByRole('navigation', { name: 'Main' }).last();
  await page.getByRole('heading', { name: 'Rooms', level: 1 }).waitFor();
  await fits();
  await page.locator('main').getByRole('link', { name: /desk/ }).last().tap();
  await page.getByRole('heading', { name: 'desk' }).waitFor();
  await fits();
  await page.getByLabel('Message builder').fill('[[run: touch by-thumb.txt]]');
  await page.getByRole('button', { name: 'Send' }).tap();
  await page.getByRole('button', { name: 'Agents' }).tap();
  const sheet = page.getByRole('dialog');
  await sheet.getByText('Needs you').waitFor();
  const allow = sheet.getByRole('button', { name: 'Allow', exact: true });
  const box = await allow.boundingBox();
  check('the button is large enough for a thumb', box.height >= 36, box);
  await fits();
  await allow.tap();
  await until('it went on', async () => (await sheet.getByText('Needs you').count()) === 0);
  await sheet.getByRole('button', { name: 'Stop', exact: true }).first().tap();
  await sheet.getByText('Stopped').first().waitFor();
  await sheet.getByRole('button', { name: 'Close' }).tap();
  await bar.getByRole('link', { name: 'Machines' }).tap();
  await page.getByRole('heading', { name: 'Machines', level: 1 }).waitFor();
  await fits();
  await bar.getByRole('link', { name: 'Needs you' }).tap();
  await page.getByRole('heading', { name: 'Nothing needs you' }).waitFor();
  await fits();
  for (const [name, title] of [['Activity', 'Activity'], ['Account', given.name]]) {
    await bar.getByRole('button', { name: 'More' }).tap();
    await page.getByRole('menuitem', { name }).tap();
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
    await fits();
  }
});
