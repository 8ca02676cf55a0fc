// Every main screen, in light and in dark.

import { given, tell } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open('/');
  const room = `/rooms/${given.room}`;
  const screens = {
    home: ['/', async () => page.getByRole('heading', { name: 'Needs you' }).waitFor()],
    room: [room, async () => page.getByRole('button', { name: 'Allow', exact: true }).first().waitFor()],
    setup: [
      room,
      async () => {
        await page.getByRole('button', { name: 'More about builder' }).click();
        await page.getByRole('menuitem', { name: 'Set up' }).click();
        await page.getByText('and what is in it').waitFor();
      },
    ],
    run: [`${room}/runs/${given.run}`, async () => page.getByRole('button', { name: 'Allow', exact: true }).first().waitFor()],
    terminal: [`${room}/runs/${given.terminal}`, async () => page.locator('.xterm-rows').waitFor()],
    machine: [`/machines/${given.machine}`, async () => page.getByText('Running here').waitFor()],
    activity: ['/activity', async () => page.getByRole('listitem').first().waitFor()],
    account: ['/account', async () => page.getByText('this one').waitFor()],
  };
  for (const [name, [path, ready]] of Object.entries(screens)) {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.goto(new URL(path, page.url()).href);
      await ready();
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${given.folder}/${name}-${colorScheme}.png` });
    }
  }
});
