// A run in a terminal is a terminal: what is typed arrives, what it prints is shown.

import { check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}/runs/${given.run}`);
  const screen = page.locator('.xterm-rows');
  await screen.waitFor();
  const shows = (text) => until(`the terminal shows ${text}`, async () => (await screen.innerText()).replaceAll('\u00a0', ' ').includes(text));
  await shows('ready for input');
  await page.locator('.xterm-helper-textarea').focus();
  await page.keyboard.type('hello terminal');
  await page.keyboard.press('Enter');
  await shows('you typed: hello terminal');
  // A second person at the same keyboard sees the same, and takes over to type.
  const second = await ada.open(`/rooms/${given.room}/runs/${given.run}`);
  await until('the second tab shows it too', async () =>
    (await second.locator('.xterm-rows').innerText()).replaceAll('\u00a0', ' ').includes('you typed: hello terminal'));
  await second.getByRole('button', { name: /take over/i }).click();
  await second.getByText('You type here.').waitFor();
  await page.getByText('Somebody else types here.').waitFor();
  await second.locator('.xterm-helper-textarea').focus();
  await second.keyboard.type('from the second');
  await second.keyboard.press('Enter');
  await shows('you typed: from the second');
  check('both are there', !page.isClosed() && !second.isClosed());
});
