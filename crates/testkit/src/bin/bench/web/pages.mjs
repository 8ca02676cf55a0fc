// Opens pages of the app in a real browser and measures them there. Prints one line of JSON for each thing it was
// asked for; which, it is told by its first argument. A newcomer would get wrong that every time is taken in the page
// itself, from the start of its navigation: what drives the browser costs milliseconds of its own.

import { gzipSync } from 'node:zlib';

const { chromium } = await import(`${process.env.PACKAGES}/playwright-core/index.mjs`);
const given = JSON.parse(process.env.GIVEN);
const { url, times } = given;

/** How long anything may take, in milliseconds. */
const PATIENCE = 120_000;
/** A turn of the wheel is this share of what is seen at once, and the next follows after so many milliseconds. */
const TURN = 0.5;
const PAUSE = 40;
/** A list that has not moved for so long is at its end. */
const AT_END = 4000;
/** After so long a page has loaded what it loads by itself; it never falls silent, since it follows what happens. */
const SETTLED = 2000;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-precise-memory-info'],
});

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Runs in each page before anything else: notes when something is painted that can be seen, and long tasks. */
function watch(selector) {
  window.longTasks = [];
  const note = (list) => window.longTasks.push(...list.getEntries().map((task) => task.duration));
  new PerformanceObserver(note).observe({ type: 'longtask' });
  const isSeen = (element) => {
    const { top, bottom, height } = element.getBoundingClientRect();
    return height > 0 && top >= 0 && bottom <= window.innerHeight;
  };
  const look = () => {
    if (![...document.querySelectorAll(selector)].some(isSeen)) return requestAnimationFrame(look);
    // What a frame has changed is painted once the frame is over.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (window.seenAt = performance.now());
    port2.postMessage(null);
  };
  requestAnimationFrame(look);
}

/** Opens a page that finds nothing cached, and returns it with when `selector` was seen on it. */
async function open(path, selector, before = () => {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(PATIENCE);
  const [name, value] = given.cookie.split('=');
  await context.addCookies([{ name, value, url }]);
  const page = await context.newPage();
  await page.addInitScript(watch, selector);
  before(page);
  await page.goto(url + path, { timeout: PATIENCE, waitUntil: 'commit' });
  await page.waitForFunction(() => window.seenAt, undefined, { polling: 100 });
  return { page, took: await page.evaluate(() => window.seenAt), close: () => context.close() };
}

/** Opens a page again and again; the last stays open. */
async function opened(path, selector) {
  const all = [];
  for (;;) {
    const { page, took, close } = await open(path, selector);
    all.push(took);
    if (all.length === times) return { page, all, close };
    await close();
  }
}

/** Scrolls what holds `selector` by the wheel; returns how many screens it went, and the long tasks meanwhile. */
async function scrolled(page, selector, screens, direction) {
  const box = await page.evaluate((selector) => {
    const moves = (element) => /auto|scroll/.test(getComputedStyle(element).overflowY);
    let element = document.querySelector(selector);
    while (element.parentElement && !moves(element)) element = element.parentElement;
    window.way = 0;
    let last = element.scrollTop;
    element.addEventListener('scroll', () => {
      const step = Math.abs(element.scrollTop - last);
      last = element.scrollTop;
      // A larger step is the list keeping its place while more is put above it.
      if (step <= element.clientHeight) window.way += step;
    });
    const { left, top, width } = element.getBoundingClientRect();
    return { x: left + width / 2, y: top + element.clientHeight / 2, height: element.clientHeight };
  }, selector);
  await page.mouse.move(box.x, box.y);
  await page.evaluate(() => (window.longTasks = []));
  let way = 0;
  let moved = Date.now();
  while (way < screens * box.height && Date.now() - moved < AT_END) {
    await page.mouse.wheel(0, direction * box.height * TURN);
    await pause(PAUSE);
    const now = await page.evaluate(() => window.way);
    if (now > way) moved = Date.now();
    way = now;
  }
  // What the last turn brought about is heard of a little later.
  await pause(500);
  const longTasks = await page.evaluate(() => window.longTasks);
  return { screens: way / box.height, longTasks };
}

/** Returns how much the page holds once everything that can be is let go. */
async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  return page.evaluate(() => performance.memory.usedJSHeapSize);
}

const ask = {
  /** The start page, and what a reader loads on the way to a run. */
  async start() {
    const floor = await opened('/healthz', 'pre');
    await floor.close();
    const start = await opened('/', 'main a[href^="/rooms/"]');
    await start.close();
    const scripts = new Map();
    const { page, close } = await open('/', 'main a[href^="/rooms/"]', (page) =>
      page.on('requestfinished', (request) => {
        // What comes again comes from the cache.
        if (request.resourceType() !== 'script' || scripts.has(request.url())) return;
        scripts.set(request.url(), weigh(request));
      }),
    );
    const loaded = async () => {
      await pause(SETTLED);
      const all = await Promise.all(scripts.values());
      const sum = (name) => all.reduce((sum, script) => sum + script[name], 0);
      return { files: all.length, wire: sum('wire'), gzip: sum('gzip') };
    };
    const [home, room] = [await loaded(), `/rooms/${given.room}`];
    await page.locator(`main a[href="${room}"]`).first().click();
    await page.locator('main textarea').waitFor();
    const inRoom = await loaded();
    await page.goto(`${url}${room}/runs/${given.run}`);
    await page.locator('main [data-seq]').first().waitFor();
    const inRun = await loaded();
    await close();
    tell({ floor: floor.all, painted: start.all, home, inRoom, inRun });
  },

  /** Lines as they come: the page says `open` once it follows, and then when it had each. */
  async live() {
    let follows;
    const { page, close } = await open(`/rooms/${given.room}/runs/${given.run}`, 'main [data-seq]', (page) => {
      follows = page.waitForResponse((answer) => answer.url().includes('live=sse'));
    });
    await follows;
    await page.evaluate(() => {
      window.lines = [];
      const known = new Set();
      new MutationObserver(() => {
        const now = Date.now();
        for (const [, number, sent] of document.querySelector('main').textContent.matchAll(/line (\d+), written at ([\d.]+);/g)) {
          if (known.has(number)) continue;
          known.add(number);
          const line = { there: now - sent };
          requestAnimationFrame(() => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => window.lines.push({ ...line, painted: Date.now() - sent });
            port2.postMessage(null);
          });
        }
      }).observe(document.querySelector('main'), { childList: true, characterData: true, subtree: true });
    });
    tell('open');
    await page.waitForFunction((count) => window.lines.length >= count, given.lines, { polling: 500 });
    tell(await page.evaluate(() => window.lines));
    await close();
  },

  /** A long transcript: its end, and scrolling up from there. */
  async long() {
    const seq = () => document.querySelector('main [data-seq]').dataset.seq;
    const { page, all, close } = await opened(`/rooms/${given.room}/runs/${given.run}`, `[data-seq="${given.last}"]`);
    const before = await heap(page);
    const scroll = await scrolled(page, 'main [data-seq]', given.screens, -1);
    const top = Number(await page.evaluate(seq));
    tell({ open: all, before, ...scroll, events: given.last - top, heap: await heap(page) });
    await close();
  },

  /** A plain page of the same length, scrolled the same way: what the browser itself costs on this machine. */
  async plain() {
    const { page, close } = await open('/healthz', 'pre');
    await page.evaluate(() => {
      document.body.innerHTML = '<main style="height: 95vh; overflow-y: auto"></main>';
      const main = document.querySelector('main');
      for (let number = 0; number < 6000; number += 1) main.append(Object.assign(document.createElement('p'), { textContent: number }));
    });
    tell({ ...(await scrolled(page, 'main p', given.screens, 1)), heap: await heap(page) });
    await close();
  },

  /** Long lists: rooms in the rail, machines on their page. */
  async lists() {
    const row = 'nav[aria-label="Main"] ul li a';
    const rooms = await opened('/', row);
    const rail = await scrolled(rooms.page, row, given.screens, 1);
    await rooms.close();
    const machine = 'main ul li a[href^="/machines/"]';
    const machines = await opened('/machines', machine);
    const list = await scrolled(machines.page, machine, given.screens, 1);
    await machines.close();
    tell({ rooms: rooms.all, rail, machines: machines.all, list });
  },
};

/** Returns how many bytes a script was on its way here, and how many it would be by gzip. */
async function weigh(request) {
  const answer = await request.response();
  const { responseBodySize } = await request.sizes();
  return { wire: responseBodySize, gzip: gzipSync(await answer.body()).length };
}

await ask[process.argv[2]]();
await browser.close();
