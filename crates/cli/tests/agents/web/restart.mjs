// The server goes away and comes back while an agent talks: the page says so, catches up, and neither loses nor
// doubles a line.

import { ask, check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}/runs/${given.run}`);
  const lines = async () => {
    const text = await page.locator('main').innerText();
    return [...text.matchAll(/^word-(\d+)$/gm)].map((match) => Number(match[1]));
  };
  for (let word = 1; word <= 3; word += 1) await ask('say', `word-${word}`);
  await until('what was said is here', async () => (await lines()).length === 3);

  await ask('stop');
  const gone = Date.now();
  await page.getByText('The server has not answered since').waitFor();
  const took = Date.now() - gone;
  check('the page says within 2 s that the server is gone', took < 2000, took);
  // The agent goes on without a server.
  await ask('start');
  for (let word = 4; word <= 6; word += 1) await ask('say', `word-${word}`);
  await until('the page has caught up', async () => (await lines()).length >= 6);
  await page.getByText('The server has not answered since').waitFor({ state: 'hidden' });
  const seen = await lines();
  check('every line once, in order', seen.join() === '1,2,3,4,5,6', seen);
  // What a reader sees who comes now is the same.
  await page.reload();
  await until('the page is there again', async () => (await lines()).length >= 6);
  const again = await lines();
  check('the same for whoever comes later', again.join() === '1,2,3,4,5,6', again);
});
