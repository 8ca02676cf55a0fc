// What one does can be taken back, or is confirmed by typing a name.

import { check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}`);
  const box = page.getByLabel('Message builder');
  const queue = page.getByRole('region', { name: 'Queue' });
  const queued = () =>
    page.evaluate(async (path) => (await (await fetch(path)).json()).queue, `/api/chatrooms/${given.room}/messages`);
  /** Takes back what was done last, as its notice offers. */
  const undo = async (said) => {
    const notice = page.getByRole('listitem').filter({ hasText: said });
    await notice.getByRole('button', { name: 'Undo' }).click();
  };

  // The first becomes a task, so the second waits, with its file.
  await box.fill('the first');
  await box.press('Enter');
  await page.getByRole('article').filter({ hasText: 'the first' }).waitFor();
  await box.fill('the second');
  await page.getByLabel('Files', { exact: true }).setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('a note') });
  await page.getByRole('list', { name: 'Attached' }).getByLabel('On its way').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Send' }).click();
  await queue.getByText('the second').waitFor();

  await queue.getByRole('button', { name: 'Edit' }).click();
  await queue.getByLabel('Queued message').fill('something else');
  await queue.getByRole('button', { name: 'Save' }).click();
  await queue.getByText('something else').waitFor();
  await undo('The message is changed');
  await queue.getByText('the second').waitFor();

  await queue.getByRole('button', { name: 'Take back' }).click();
  await queue.waitFor({ state: 'detached' });
  await undo('The message is taken back');
  await queue.getByText('the second').waitFor();
  const [again] = await queued();
  check('with its file', again.attachments?.[0]?.name === 'notes.txt', again);

  const menu = async (item) => {
    await page.getByRole('button', { name: 'More about this room' }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  const called = (name) => page.getByRole('heading', { name, level: 1 }).waitFor();
  await menu('Rename');
  await page.getByRole('dialog').getByLabel('Name').fill('another name');
  await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
  await called('another name');
  await undo('It is called another name now');
  await called('desk');
  await menu('Archive');
  await called('Rooms');
  const rail = page.getByRole('navigation', { name: 'Main' }).first();
  await rail.getByRole('link', { name: 'desk' }).waitFor({ state: 'detached' });
  await undo('desk is archived');
  await rail.getByRole('link', { name: 'desk' }).waitFor();

  // A machine that is removed does not come back.
  await page.goto(new URL(`/machines/${given.machine}`, page.url()).href);
  await page.getByRole('button', { name: 'Remove the machine' }).click();
  const sure = page.getByRole('dialog').getByRole('button', { name: 'Remove' });
  check('not before its name is typed', await sure.isDisabled());
  await page.getByRole('dialog').getByRole('textbox').fill(given.alias);
  await sure.click();
  await page.getByText('No machine yet').waitFor();
  await until('its page is gone', async () => page.url().endsWith('/machines'));
});
