// Letting a command line in, on a page that shows what asks.

import { ask, check, given, tell } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/cli?code=${given.code.toLowerCase()}`);
  await page.getByText('<laptop>').waitFor();
  check('the code is shown to be compared', (await page.locator('main').innerText()).includes(given.code));
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.getByText('The command line is signed in').waitFor();
  check('it has its session', (await ask('let in?')) === true);
  await page.reload();
  await page.getByRole('alert').getByText('code_expired').waitFor();
});
