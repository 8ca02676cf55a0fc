// From a printed secret to the first answer, by clicks alone.

import { ask, check, given, tell, until } from './driver.mjs';

await tell(async ({ person }) => {
  const ada = await person();
  const page = await ada.open(`/sign-up?code=${given.secret}`);
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('E-mail').fill('ada@example.org');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign up' }).click();

  const steps = page.getByRole('list').filter({ hasText: 'Register a machine' });
  const done = (title) => steps.getByRole('listitem').filter({ hasText: `${title} (done)` });
  await steps.waitFor();
  check('nothing is done yet', (await steps.getByText('(done)').count()) === 0);

  // The line that joins a computer, run on one.
  await page.getByRole('button', { name: 'Show the line' }).click();
  const line = await page.locator('pre').innerText();
  check('the line names this server', line.includes(`:${new URL(page.url()).port}/join.sh`), line);
  await ask('join', line);
  await done('Register a machine').waitFor();
  await done('Find an agent program on it').waitFor();

  await steps.getByRole('button', { name: 'New room' }).click();
  await page.getByLabel('Name').fill('ship-login');
  await page.getByLabel('Roles').fill('builder');
  await page.getByRole('button', { name: 'Make the room' }).click();
  const builder = page.getByRole('article', { name: 'builder' });
  await builder.getByText('Stopped').waitFor();

  // US-2: only what is installed is offered. US-8: it is started from here.
  await builder.getByRole('button', { name: 'Set up' }).click();
  const dialog = page.getByRole('dialog');
  const offered = await dialog.getByLabel('Agent program').locator('option').allInnerTexts();
  check('what is installed is offered, with its version', offered.some((one) => /^claude \d/.test(one)), offered);
  check('cursor is not, for it is not there', !offered.some((one) => one.includes('cursor')), offered);
  await dialog.getByLabel('Agent program').selectOption('claude');
  await dialog.getByLabel('Model').fill('scripted-1');
  await dialog.getByLabel('Working directory').fill('/etc');
  await dialog.getByText('chatroom machine allow /etc').waitFor();
  await dialog.getByLabel('Working directory').fill(await ask('folder'));
  await dialog.getByRole('button', { name: 'Save and start' }).click();
  await builder.getByText('Waiting').waitFor();

  const box = page.getByLabel('Message builder');
  await box.fill(`Say hello. ${given.handOff}`);
  await box.press('Enter');
  await until('it asked, or is done', async () => {
    const allow = builder.getByRole('button', { name: 'Allow', exact: true });
    if (await allow.count()) await allow.click({ timeout: 1000 }).catch(() => {});
    return (await page.getByRole('article').filter({ hasText: 'the-result' }).filter({ hasText: 'handed on' }).count()) > 0;
  });
  check('the box is empty again', (await box.inputValue()) === '');

  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.getByText('Latest rooms').waitFor();
  check('the way there is over', (await page.getByText('First steps').count()) === 0);
});
