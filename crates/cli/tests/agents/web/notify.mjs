// The browser tells a person who looks elsewhere that an agent needs them, gave up, or handed to them, and nothing else.

import { ask, check, given, tell, until } from './driver.mjs';

/** Runs in each page before anything else: notes what it would show, and makes it seen or unseen. */
function observe() {
  window.told = [];
  const real = window.Notification;
  window.Notification = class {
    static get permission() {
      return real.permission;
    }
    constructor(title, { body }) {
      window.told.push(`${title} / ${body}`);
    }
    close() {}
  };
  let state = 'visible';
  Object.defineProperty(document, 'visibilityState', { get: () => state });
  window.look = (now) => {
    state = now;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}

await tell(async ({ person }) => {
  const ada = await person({ cookie: given.cookie });
  await ada.context.grantPermissions(['notifications']);
  await ada.context.addInitScript(observe);
  const tabs = [await ada.open(`/rooms/${given.room}`), await ada.open('/')];
  const told = async () => (await Promise.all(tabs.map((tab) => tab.evaluate(() => window.told)))).flat();
  const both = (state) => Promise.all(tabs.map((tab) => tab.evaluate((state) => window.look(state), state)));
  const count = (number) => until(`${number} told`, async () => (await told()).length >= number);
  const builder = tabs[0].getByRole('article', { name: 'builder' });
  await builder.getByText('Waiting').waitFor();
  await tabs[1].getByText('Latest rooms').waitFor();

  // Who looks, at whichever tab, sees it there.
  await ask('tell', { to: 'builder', text: '[[run: touch first]]' });
  await builder.getByText('Needs you').waitFor();
  await ask('allow', 'builder');
  await builder.getByText('Waiting').waitFor();
  await tabs[0].evaluate(() => window.look('hidden'));
  await ask('tell', { to: 'builder', text: '[[run: touch second]]' });
  await builder.getByText('Needs you').waitFor();
  await ask('allow', 'builder');
  await builder.getByText('Waiting').waitFor();

  // Nobody looks. What asks for nobody is told to nobody: talk, a note, a room, a ping, an agent that is started.
  await both('hidden');
  await ask('tell', { to: 'writer', text: '[[say: only talk]]' });
  await ask('other', 'writer');
  await ask('tell', { to: 'builder', text: '[[run: touch third]]' });
  await count(1);
  check('that it needs its person is told once, by one tab', (await told()).length === 1, await told());
  check('with what it asks', /^desk \/ builder needs you: .*touch third/.test((await told())[0]), await told());
  const titles = await Promise.all(tabs.map((tab) => tab.title()));
  check('the title counts it', titles.includes('(1) chatroom'), titles);
  await ask('allow', 'builder');

  await ask('say', { to: 'writer', text: given.handOff });
  await count(2);
  await ask('start', 'reviewer');
  await count(3);
  const [, second, third, ...more] = await told();
  check('that one handed to people', second === 'desk / writer handed to you: the-result', second);
  check('that one gave up', third.startsWith('desk / reviewer gave up: '), third);
  check('nothing else', more.length === 0, more);
  const which = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.told.length)));
  check('one tab told all of it', which.includes(3), which);
  const badge = await Promise.all(tabs.map((tab) => tab.title()));
  check('the title counts them all', badge.includes('(3) chatroom'), badge);
  await both('visible');
  await until('who looks again has seen it', async () => (await Promise.all(tabs.map((tab) => tab.title()))).every((title) => title === 'chatroom'));
});
