// Start, watch, approve, deny, follow up, interrupt, stop: all on the page of a run.

import { check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  const page = await ada.open(`/rooms/${given.room}`);
  const builder = page.getByRole('article', { name: 'builder' });
  await builder.getByRole('button', { name: 'Start' }).click();
  await builder.getByText('Waiting').waitFor();
  await builder.getByRole('link', { name: 'Open run' }).click();
  await page.waitForURL('**/runs/run_*');
  const head = page.locator('main header').first();
  await head.getByText('Waiting').waitFor();

  // A task from the room is seen here as it is worked on, and stands still until somebody answers.
  const follow = page.locator('main textarea').last();
  await follow.fill('[[run: touch allowed.txt]] [[say: the first is done]]');
  await follow.press('Enter');
  await head.getByText('Needs you').waitFor();
  await page.keyboard.press('Escape').catch(() => {});
  await page.getByRole('button', { name: 'Allow', exact: true }).first().click();
  await page.getByText('the first is done', { exact: true }).waitFor();
  await head.getByText('Waiting').waitFor();

  // By keys: denied. The program hears the refusal and goes on.
  await follow.fill('[[run: touch denied.txt]] [[say: the second is over]]');
  await follow.press('Enter');
  await head.getByText('Needs you').waitFor();
  await page.getByRole('button', { name: 'Deny', exact: true }).first().waitFor();
  await page.locator('main').focus();
  await page.keyboard.press('d');
  await head.getByText('Waiting').waitFor();

  // While it works, more is queued; an interrupt ends the turn and the queue goes on.
  await follow.fill('[[hang]]');
  await follow.press('Enter');
  await head.getByText('Working').waitFor();
  await follow.fill('[[say: the third came after]]');
  await page.getByRole('button', { name: 'Queue' }).click();
  await page.getByText('the third came after').first().waitFor();
  await page.getByRole('button', { name: 'Interrupt' }).click();
  await page.getByText('the third came after', { exact: true }).waitFor();
  await head.getByText('Waiting').waitFor();

  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await head.getByText('Stopped').waitFor();
  check('the page of the run stays', page.url().includes('/runs/'));
  await page.keyboard.press('Escape');
  await until('Escape leads back to the room', async () => !page.url().includes('/runs/'));

  // What it did is still there, behind its card.
  await page.getByRole('button', { name: 'More about builder' }).click();
  await page.getByRole('menuitem', { name: 'Past runs' }).click();
  await page.getByRole('dialog').getByRole('link').first().click();
  await page.waitForURL('**/runs/run_*');
  await page.getByText('the first is done', { exact: true }).waitFor();
});
