// Signing in and out: one session ends everywhere, and a page one may not see asks who one is.

import { check, given, tell } from './driver.mjs';

await tell(async ({ person }) => {
  const desk = await person();
  const first = await desk.open('/machines');
  await first.getByRole('heading', { name: 'Sign in' }).waitFor();
  await first.getByLabel('E-mail').fill(given.email);
  await first.getByLabel('Password').fill('wrong horse battery');
  await first.getByRole('button', { name: 'Sign in' }).click();
  await first.getByRole('alert').getByText('wrong_credentials').waitFor();
  await first.getByLabel('Password').fill(given.password);
  await first.getByRole('button', { name: 'Sign in' }).click();
  // Where one wanted to go.
  await first.getByRole('heading', { name: 'Machines' }).waitFor();

  // Two tabs of one browser are in step: a room made in one is in the rail of the other.
  const second = await desk.open('/');
  await second.getByRole('button', { name: 'New room' }).first().click();
  await second.getByLabel('Name').fill('in step');
  await second.getByRole('button', { name: 'Make the room' }).click();
  await first.getByRole('link', { name: 'in step' }).waitFor();

  // Another device, signed out from here.
  const phone = await person();
  const away = await phone.open('/sign-in');
  await away.getByLabel('E-mail').fill(given.email);
  await away.getByLabel('Password').fill(given.password);
  await away.getByRole('button', { name: 'Sign in' }).click();
  await away.getByRole('heading', { name: 'Rooms', level: 1 }).waitFor();
  // By the keyboard alone.
  await first.keyboard.press('Control+k');
  await first.keyboard.type('your account');
  await first.keyboard.press('Enter');
  await first.getByRole('button', { name: 'Sign out everywhere else' }).click();
  // What cannot be undone is confirmed by a name.
  const sure = first.getByRole('dialog').getByRole('button', { name: 'Sign out' });
  check('not before it is typed', await sure.isDisabled());
  await first.getByRole('dialog').getByRole('textbox').fill(given.name);
  await sure.click();
  await away.getByRole('heading', { name: 'Sign in' }).waitFor();

  // Signing out ends both tabs, and the cookie is worth nothing.
  const [cookie] = await desk.context.cookies();
  await first.getByRole('button', { name: 'Sign out', exact: true }).click();
  await first.getByRole('heading', { name: 'Sign in' }).waitFor();
  await second.getByRole('heading', { name: 'Sign in' }).waitFor();
  const answer = await fetch(new URL('/api/auth/session', first.url()), { headers: { cookie: `${cookie.name}=${cookie.value}` } });
  check('the session is over', answer.status === 401, answer.status);
});
