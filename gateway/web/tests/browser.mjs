// End-to-end test of the page in a real browser, against the mock gateway or a running platform.
//
//   node tests/browser.mjs [BASE_URL] [--screenshots DIR]
//
// Without a base URL it starts the mock gateway (build the page first). Exits with 1 when a check fails. The browser is
// the one at CHROMIUM, or /usr/bin/chromium.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { startMock } from './mock-gateway.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { screenshots: { type: 'string' } },
});
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PATIENCE_MS = 15_000;
/** Guards against a broken page, not a slow machine: the figures are printed. */
const SWITCH_GUARD_MS = 2000;
const FRAME_GUARD_MS = 500;
const DAY_OF_SECONDS = 86_400;
const DAY_BUDGET_MS = 40_000;

const mock =
  positionals[0] === undefined
    ? await startMock({ trouble: true, venues: ['SIM', 'BINANCE-USDM'] })
    : undefined;
const base = (positionals[0] ?? mock.url).replace(/\/$/, '');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
});

let failures = 0;

async function check(name, body) {
  const start = performance.now();
  try {
    const note = await body();
    console.log(`ok    ${name}${note ? `: ${note}` : ''} (${Math.round(performance.now() - start)} ms)`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
  }
}

/** Waits until `probe`, evaluated in the page, gives something true; the failure says what was waited for. */
async function until(page, what, probe, argument) {
  try {
    const handle = await page.waitForFunction(probe, argument, { timeout: PATIENCE_MS, polling: 'raf' });
    return await handle.jsonValue();
  } catch {
    throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
  }
}

const facts = (page) =>
  page.evaluate(() => {
    const page = window.__dexorder;
    return {
      last: page.lastCandle(),
      count: page.candleCount(),
      interval: page.interval(),
      symbol: page.symbol(),
      updates: page.updates(),
    };
  });

const hasCandles = (page) => until(page, 'candles', () => window.__dexorder?.candleCount() > 0);

async function shot(page, name) {
  if (options.screenshots === undefined) return;
  await mkdir(options.screenshots, { recursive: true });
  await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
}

/** A page that remembers everything the browser complains about. */
async function openPage(context, path = '/') {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(base + path);
  return page;
}

const rowSymbols = (page) =>
  page.$$eval('[data-testid^="watch-row-"]', (rows) =>
    rows.map((row) => row.dataset.testid.slice('watch-row-'.length)),
  );

async function startChecks(page) {
  await check('the mode badge says where prices come from', async () => {
    const mode = await until(page, 'the badge', () => {
      const text = document.querySelector('[data-testid="mode-badge"]')?.textContent;
      return ['SIM', 'LIVE', 'REPLAY', 'MIXED'].includes(text) && text;
    });
    return mode;
  });
  await check('the page is connected and shows feed health', async () => {
    await until(
      page,
      'connection',
      () => document.querySelector('[data-testid="connection-state"]')?.dataset.status === 'open',
    );
    const health = await until(page, 'a feed', () => {
      const text = document.querySelector('[data-testid="feed-health"]')?.textContent;
      return /\d (s|min|h|d)/.test(text) && text;
    });
    return health;
  });
  await check('candles are there', async () => {
    await hasCandles(page);
    return `${(await facts(page)).count}`;
  });
  await check('candles move', async () => {
    const before = await facts(page);
    await until(
      page,
      'a changed last candle',
      ({ updates, last }) =>
        window.__dexorder.updates() > updates &&
        JSON.stringify(window.__dexorder.lastCandle()) !== JSON.stringify(last),
      before,
    );
    const after = await facts(page);
    return `${after.updates - before.updates} updates`;
  });
  await check('last price, bid, ask and trades are shown', async () => {
    for (const id of ['last-price', 'bid', 'ask', 'trade-row']) {
      await until(
        page,
        id,
        (testId) => /\d/.test(document.querySelector(`[data-testid="${testId}"]`)?.textContent),
        id,
      );
    }
  });
  await check('the legend names the figures of the candle', async () => {
    const text = await page.getByTestId('legend').textContent();
    for (const key of ['O', 'H', 'L', 'C', 'V']) assert.match(text, new RegExp(`${key}\\s*[\\d,.]+`));
  });
  await check('nothing moves about when ticks arrive', async () => {
    const shift = await page.evaluate(async () => {
      window.shifts.length = 0;
      await new Promise((resolve) => setTimeout(resolve, 2500));
      return window.shifts.reduce((sum, value) => sum + value, 0);
    });
    assert.ok(shift < 0.01, `layout shift ${shift}`);
    return `layout shift ${shift.toFixed(4)}`;
  });
}

/** Milliseconds from the click to a painted chart with candles of that symbol. */
async function switchTo(page, symbol) {
  const milliseconds = await page.evaluate(async (wanted) => {
    const row = document.querySelector(`[data-testid="watch-row-${wanted}"] button`);
    const start = performance.now();
    row.click();
    while (performance.now() - start < 10_000) {
      await new Promise(requestAnimationFrame);
      const shown = window.__dexorder.symbol() === wanted && window.__dexorder.candleCount() > 0;
      if (shown && document.querySelector('[data-testid="chart-skeleton"]') === null)
        return performance.now() - start;
    }
    return Number.POSITIVE_INFINITY;
  }, symbol);
  return Math.round(milliseconds);
}

async function switchChecks(page) {
  await check('a symbol switch shows candles (goal: under 300 ms)', async () => {
    const symbols = (await rowSymbols(page)).slice(0, 6);
    assert.ok(symbols.length > 0, 'the watch list is empty');
    const first = [];
    for (const symbol of symbols.slice(1)) first.push(await switchTo(page, symbol));
    const again = [];
    for (const symbol of symbols) again.push(await switchTo(page, symbol));
    const middle = [...first, ...again].sort((a, b) => a - b)[Math.floor((first.length + again.length) / 2)];
    assert.ok(middle < SWITCH_GUARD_MS, `half of the switches took more than ${middle} ms`);
    return `first time ${first.join(', ') || '–'} ms; again ${again.join(', ')} ms`;
  });
  await check('j and k move through the watch list', async () => {
    const symbols = await rowSymbols(page);
    if (symbols.length < 2) return 'left out: one symbol only';
    await switchTo(page, symbols[0]);
    await page.keyboard.press('j');
    await until(page, 'the next symbol', (symbol) => window.__dexorder.symbol() === symbol, symbols[1]);
    await page.keyboard.press('k');
    await until(page, 'the symbol before', (symbol) => window.__dexorder.symbol() === symbol, symbols[0]);
    return undefined;
  });
  await check('all timeframes can be chosen by mouse and by key', async () => {
    const intervals = ['1s', '60s', '300s', '900s', '3600s', '14400s', '86400s'];
    for (const [index, interval] of intervals.entries()) {
      await page.keyboard.press(String(index + 1));
      await until(page, interval, (wanted) => window.__dexorder.interval() === wanted, interval);
      await hasCandles(page);
    }
    await page.getByTestId('timeframe-60s').click();
    await until(page, '60s', () => window.__dexorder.interval() === '60s');
    await hasCandles(page);
  });
  await check('a symbol is found by keyboard alone', async () => {
    const symbols = await rowSymbols(page);
    const wanted = symbols.at(-1);
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.dataset.testid), 'symbol-search');
    await page.keyboard.type(wanted.split(':')[1].split('/')[0].toLowerCase());
    await until(
      page,
      'a result',
      (id) =>
        [...document.querySelectorAll('[data-testid="search-result"]')].some((row) => row.dataset.id === id),
      wanted,
    );
    const ids = await page.$$eval('[data-testid="search-result"]', (rows) =>
      rows.map((row) => row.dataset.id),
    );
    for (let i = 0; i < ids.indexOf(wanted); i += 1) await page.keyboard.press('ArrowDown');
    await shot(page, 'search');
    await page.keyboard.press('Enter');
    await until(page, wanted, (symbol) => window.__dexorder.symbol() === symbol, wanted);
  });
  await check('the command palette changes the timeframe', async () => {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('5m');
    await shot(page, 'palette');
    await page.keyboard.press('Enter');
    await until(page, '300s', () => window.__dexorder.interval() === '300s');
  });
  await check('? shows the shortcuts and Esc closes them', async () => {
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor({ timeout: 3000 });
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached', timeout: 3000 });
  });
}

async function lookChecks(page) {
  await check('the theme switches and survives a reload, as do symbol and timeframe', async () => {
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    const before = await theme();
    const place = await facts(page);
    await page.getByTestId('theme-toggle').click();
    const after = await theme();
    assert.notEqual(after, before);
    await shot(page, `desktop-${after}`);
    await page.reload();
    await hasCandles(page);
    assert.equal(await theme(), after);
    const place2 = await facts(page);
    assert.deepEqual([place2.symbol, place2.interval], [place.symbol, place.interval]);
    await page.getByTestId('theme-toggle').click();
    assert.equal(await theme(), before);
  });
  await check('indicators are drawn on the candles and below', async () => {
    await page.getByRole('button', { name: 'Indicators', exact: true }).click();
    for (const name of ['SMA', 'Bollinger', 'RSI', 'MACD'])
      await page.getByRole('button', { name: new RegExp(`^${name} `) }).click();
    await page.keyboard.press('Escape');
    await until(page, 'four legends with values', () => {
      const rows = [...document.querySelectorAll('.legend-indicator')];
      return rows.length === 4 && rows.every((row) => /\d/.test(row.querySelector('[title]')?.textContent));
    });
    await shot(page, 'indicators');
    await page.evaluate(() => localStorage.removeItem('dexorder.indicators.v1'));
    await page.reload();
    await hasCandles(page);
  });
}

const chartMiddle = async (page) => {
  const box = await page.getByTestId('chart').boundingBox();
  return { x: box.x + box.width * 0.4, y: box.y + box.height * 0.4 };
};

async function hoveredTime(page, { x, y }) {
  await page.mouse.move(x, y + 5);
  await page.mouse.move(x, y);
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  return page.locator('.legend-time').getAttribute('title');
}

async function scrollChecks(page) {
  await check('scrolling back loads older candles and the view stays where it is', async () => {
    await page.getByTestId('timeframe-60s').click();
    await hasCandles(page);
    const middle = await chartMiddle(page);
    await page.mouse.move(middle.x, middle.y);
    const { count } = await facts(page);
    const deadline = Date.now() + PATIENCE_MS;
    while ((await facts(page)).count <= count && Date.now() < deadline) {
      await page.mouse.wheel(-900, 0);
      await page.waitForTimeout(30);
    }
    const more = (await facts(page)).count;
    assert.ok(more > count, `still ${more} candles`);
    await page.waitForTimeout(400);
    const before = await hoveredTime(page, middle);
    await page.waitForTimeout(1500);
    assert.equal(await hoveredTime(page, middle), before, 'the candle under the pointer changed');
    return `${count} → ${more}`;
  });
  await check('dragging back through the data neither jumps nor stops', async () => {
    const box = await page.getByTestId('chart').boundingBox();
    const y = box.y + box.height * 0.4;
    for (let drag = 0; drag < 6; drag += 1) {
      const start = { x: box.x + 60, y };
      const end = { x: box.x + box.width - 140, y };
      const grabbed = await hoveredTime(page, start);
      await page.mouse.down();
      // A drag begins after a few pixels: small steps first, so that none is lost.
      for (let x = start.x; x < end.x; x += x < start.x + 12 ? 2 : 32) {
        await page.mouse.move(x, y);
        await page.waitForTimeout(16);
      }
      await page.mouse.move(end.x, y);
      await page.mouse.up();
      await page.waitForTimeout(350);
      const dropped = await hoveredTime(page, end);
      const apart = Math.abs(
        Date.parse(`${grabbed}`.replace(' UTC', 'Z')) - Date.parse(`${dropped}`.replace(' UTC', 'Z')),
      );
      assert.ok(apart <= 3 * 60_000, `the candle taken at ${grabbed} came out at ${dropped}`);
    }
  });
  await check('a day of one-second candles scrolls smoothly', () => scrollDay(page));
}

/** Scrolls back until a day of candles is loaded, recording every frame. */
async function scrollDay(page) {
  await page.getByTestId('timeframe-1s').click();
  await hasCandles(page);
  const middle = await chartMiddle(page);
  await page.mouse.move(middle.x, middle.y);
  await page.evaluate(() => {
    window.frames = [];
    let last = performance.now();
    const step = (now) => {
      window.frames.push(now - last);
      last = now;
      window.recording = requestAnimationFrame(step);
    };
    window.recording = requestAnimationFrame(step);
  });
  const deadline = Date.now() + DAY_BUDGET_MS;
  let stuck = 0;
  let count = 0;
  while (count < DAY_OF_SECONDS && Date.now() < deadline && stuck < 60) {
    for (let i = 0; i < 5; i += 1) await page.mouse.wheel(-1200, 0);
    const now = (await facts(page)).count;
    stuck = now === count ? stuck + 1 : 0;
    count = now;
    await page.waitForTimeout(20);
  }
  const frames = await page.evaluate(() => {
    cancelAnimationFrame(window.recording);
    return window.frames.sort((a, b) => a - b);
  });
  const at = (share) => Math.round(frames[Math.min(frames.length - 1, Math.floor(frames.length * share))]);
  await shot(page, 'day');
  assert.ok(at(0.95) < FRAME_GUARD_MS, `95 % of frames within ${at(0.95)} ms`);
  return `${count} candles, ${frames.length} frames: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, longest ${at(1)} ms`;
}

async function mockChecks(page) {
  await check('a cut connection heals by itself and candles go on', async () => {
    await page.getByTestId('timeframe-1s').click();
    await hasCandles(page);
    await fetch(`${base}/mock/drop`, { method: 'POST' });
    await until(
      page,
      'the loss',
      () => document.querySelector('[data-testid="connection-state"]').dataset.status !== 'open',
    );
    await until(
      page,
      'the return',
      () => document.querySelector('[data-testid="connection-state"]').dataset.status === 'open',
    );
    const { last } = await facts(page);
    await until(
      page,
      'newer candles',
      (before) => window.__dexorder.lastCandle().open_time > before.open_time,
      last,
    );
  });
  await check('a silent connection is noticed', async () => {
    await fetch(`${base}/mock/mute`, { method: 'POST' });
    await until(
      page,
      'the loss',
      () => document.querySelector('[data-testid="connection-state"]').dataset.status !== 'open',
    );
    await fetch(`${base}/mock/unmute`, { method: 'POST' });
    await until(
      page,
      'the return',
      () => document.querySelector('[data-testid="connection-state"]').dataset.status === 'open',
    );
  });
  await check('pending history is said and then filled', async () => {
    await page.goto(`${base}/?symbol=SIM:SLOW/USDT&interval=1m`);
    await page.getByTestId('notice-pending').waitFor({ timeout: 5000 });
    await shot(page, 'pending');
    await until(page, 'the whole page', () => window.__dexorder.candleCount() >= 300);
    await page.getByTestId('notice-pending').waitFor({ state: 'detached', timeout: 5000 });
  });
  page.complaints.length = 0;
  await check('a failure says what to do', async () => {
    await page.goto(`${base}/?symbol=SIM:FAIL/USDT&interval=1m`);
    const alert = page.getByRole('alert');
    await alert.waitFor({ timeout: 5000 });
    assert.match(await alert.textContent(), /Try again in a moment/);
    await shot(page, 'failure');
  });
  // The browser itself reports the 503 that was asked for.
  page.complaints.length = 0;
}

async function phoneChecks() {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: 'light',
  });
  const page = await openPage(context);
  await check('on a phone nothing is wider than the screen and the tabs work', async () => {
    await hasCandles(page);
    await page.waitForTimeout(1200);
    for (const tab of ['watch', 'trades', 'chart']) {
      await page.getByTestId(`tab-${tab}`).tap();
      await page.waitForTimeout(250);
      await shot(page, `phone-${tab}`);
      const [scroll, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(scroll <= width, `${tab}: ${scroll} px on a screen of ${width} px`);
    }
    await page.getByTestId('tab-watch').tap();
    const symbol = (await rowSymbols(page)).at(-1);
    await page.getByTestId(`watch-row-${symbol}`).tap();
    await until(page, 'the chart tab', (wanted) => window.__dexorder.symbol() === wanted, symbol);
    await page.getByTestId('chart').waitFor({ state: 'visible', timeout: 3000 });
  });
  await noComplaints(page, 'phone');
  await context.close();
}

const noComplaints = (page, where) =>
  check(`no error in the console (${where})`, () => assert.deepEqual(page.complaints, []));

try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' });
  const page = await openPage(context);
  await startChecks(page);
  await shot(page, 'desktop-dark');
  await switchChecks(page);
  await lookChecks(page);
  await scrollChecks(page);
  await noComplaints(page, 'desktop');
  if (mock !== undefined) await mockChecks(page);
  await context.close();
  await phoneChecks();
} finally {
  await browser.close();
  await mock?.close();
}
console.log(failures === 0 ? 'all checks passed' : `${failures} checks failed`);
process.exitCode = failures === 0 ? 0 : 1;
