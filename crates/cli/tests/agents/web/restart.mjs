// The server is killed while an agent talks: the page says so, catches up when it is back, and neither loses nor
// doubles a line.

import { ask, check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}/runs/${given.run}`);
  const lines = async () => {
    const text = await page.locator('main').innerText();
    return [...text.matchAll(/^word-(\d+)$/gm)].map((match) => Number(match[1]));
  };
  // One turn: it says three words, waits until it may go on, and says three more.
  const say = (...words) => words.map((word) => `[[say: word-${word}]]`).join(' [[run: true]] ');
  await ask('tell', `${say(1, 2, 3)} [[run: until [ -e go ]; do sleep 0.1; done]] ${say(4, 5, 6)}`);
  await until('what was said is here', async () => (await lines()).length === 3);

  await ask('kill');
  const gone = Date.now();
  await page.getByText('The server has not answered since').waitFor();
  const took = Date.now() - gone;
  check('the page says within 2 s that the server is gone', took < 2000, took);
  await ask('go on without', 'word-6');
  check('nobody hears of it yet', (await lines()).length === 3);
  await ask('start');
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
