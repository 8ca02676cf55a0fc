// No page has a serious fault for people who use it with other senses or means, in light and in dark.

import { check, given, tell } from './driver.mjs';

const { AxeBuilder } = await import(`${process.env.PACKAGES}/@axe-core/playwright/dist/index.mjs`);

await tell(async ({ person }) => {
  const found = [];
  const look = async (page, what) => {
    // Something is there, and nothing is on its way any more.
    await page.locator('h1').first().waitFor();
    await page.getByRole('status', { name: 'Loading' }).first().waitFor({ state: 'detached' });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations } = await new AxeBuilder({ page }).analyze();
      for (const one of violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')) {
        found.push(`${what}, ${colorScheme}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.html}\n  ${node.failureSummary}`).join('\n')}`);
      }
    }
  };
  const nobody = await person();
  for (const path of ['/sign-in', '/sign-up']) {
    const page = await nobody.open(path);
    await look(page, path);
    await page.close();
  }
  const ada = await person({ cookie: given.cookie });
  for (const path of given.paths) {
    const page = await ada.open(path);
    await look(page, path);
    if (path === `/rooms/${given.room}`) {
      await page.getByRole('button', { name: 'More about builder' }).click();
      await page.getByRole('menuitem', { name: 'Set up' }).click();
      await page.getByRole('dialog').waitFor();
      await look(page, 'setting an agent up');
    }
    await page.close();
  }
  const nothing = await ada.open('/nothing/here');
  await look(nothing, 'an address of nothing');
  await nothing.close();
  const page = await ada.open('/');
  await page.getByText('Latest rooms').waitFor();
  await page.keyboard.press('Control+k');
  await page.getByRole('dialog').waitFor();
  await look(page, 'the palette');
  check('no page has a serious fault', found.length === 0, ...found);
});
