// An edit is drawn as one, however its program tells it.

import { check, given, tell } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}/runs/${given.run}`);
  const call = (name) => page.locator('main button[aria-expanded]').filter({ hasText: name });
  const change = async (path) => page.getByRole('group', { name: `Change of ${path}` }).innerText();

  // Only in what came back: the call itself has no more than a title.
  await call('told.rs').waitFor();
  const afterwards = await change('/srv/app/told.rs');
  check('what is told afterwards', afterwards.includes('was') && afterwards.includes('is now'), afterwards);
  check('with its counts', (await call('told.rs').innerText()).includes('+1'), await call('told.rs').innerText());
  check('and not as text', !(await page.locator('main').innerText()).includes('oldText'));

  // So long that its end is missing.
  const long = await change('a file');
  check('the beginning of what is new', long.includes('line 1') && !long.includes('content'), long.slice(0, 200));
  await page.getByText('The log had no room for the rest of it.').waitFor();
});
