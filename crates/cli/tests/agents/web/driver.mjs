// Tells a story in a real browser. What no page can do, a story asks of the test that started it: one line of JSON
// each way. Anything a page complains about ends the story.

import { createInterface } from 'node:readline';

const { chromium } = await import(`${process.env.PACKAGES}/playwright-core/index.mjs`);
export const { url, with: given } = JSON.parse(process.env.GIVEN);

/** How long anything may take before a story fails, in milliseconds. */
const PATIENCE = 60_000;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test for something, and waits until it is done. */
export async function ask(what, withWhat = null) {
  process.stdout.write(`${JSON.stringify({ ask: what, with: withWhat })}\n`);
  return JSON.parse((await answers.next()).value);
}

/** Waits until something holds. */
export async function until(what, holds) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function check(what, holds, ...about) {
  if (!holds) throw new Error([`not so: ${what}`, ...about.map((one) => JSON.stringify(one))].join('\n'));
}

const DESK = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** Tells a story. It gets a way to open pages: each person or device is a context of its own. */
export async function tell(story) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const pages = [];
  const complaints = [];
  const person = async ({ cookie, ...options } = {}) => {
    const context = await browser.newContext({ ...DESK, ...options });
    context.setDefaultTimeout(PATIENCE);
    if (cookie) {
      const [name, value] = cookie.split('=');
      await context.addCookies([{ name, value, url }]);
    }
    const open = async (path = '/') => {
      const page = await context.newPage();
      page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.stack}`));
      page.on('console', (message) => {
        // A refusal or a server that is away is part of some stories, and the page shows it.
        if (message.type() !== 'error' || /Failed to load resource|net::ERR_/.test(message.text())) return;
        complaints.push(`${page.url()}: ${message.text()}`);
      });
      pages.push(page);
      await page.goto(url + path);
      return page;
    };
    return { context, open };
  };
  let failed;
  try {
    await story({ browser, person });
    if (complaints.length > 0) throw new Error(`pages complained:\n${complaints.join('\n')}`);
  } catch (error) {
    failed = error;
    console.error(`${process.argv[1]}\n${error.stack}`);
    if (complaints.length > 0) console.error(`pages complained:\n${complaints.join('\n')}`);
    for (const page of pages.filter((page) => !page.isClosed())) {
      const shown = await page.locator('body').innerText().catch(() => 'nothing');
      console.error(`--- ${page.url()}\n${shown}\n---`);
      if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/failed-${pages.indexOf(page)}.png` });
    }
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
}

