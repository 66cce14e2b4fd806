// The first minutes of a person in a real browser: log in by link, ask, see the chart move, backtest, reload, stop, keys.
//
//   node tests/journey.mjs [BASE_URL LOGIN_LINK] [--screenshots DIR]
//
// Without arguments it starts the mock server (build the page first), whose scripts also show failures. With a base URL
// and a login link (`/login?link=dxl_…` or the token alone) it drives a running platform. Exits with 1 when a check
// fails. The browser is the one at CHROMIUM, or /usr/bin/chromium.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { faultChecks } from './journey-faults.mjs';
import { startServer } from './mock-server.mjs';

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
/** A workspace may have to start, and a backtest to fetch its history. */
const PATIENCE_MS = 90_000;
/** Guards against a broken page, not a slow machine: the figure is printed. The goal is one second. */
const FIRST_TOKEN_MS = 5000;

const mock = positionals[0] === undefined ? await startServer() : undefined;
const base = (positionals[0] ?? mock.url).replace(/\/$/, '');
const loginToken = mock === undefined ? tokenOf(positionals[1] ?? '') : mock.link();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
});

let failures = 0;

/** The token of a whole link, or the token itself. */
function tokenOf(link) {
  const found = /dxl_[A-Za-z0-9_-]+/.exec(link)?.[0];
  if (found === undefined) throw new Error('the second argument is a login link: /login?link=dxl_…');
  return found;
}

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

async function until(page, what, probe, argument) {
  try {
    const handle = await page.waitForFunction(probe, argument, { timeout: PATIENCE_MS, polling: 100 });
    return await handle.jsonValue();
  } catch {
    throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
  }
}

async function shot(page, name) {
  if (options.screenshots === undefined) return;
  await mkdir(options.screenshots, { recursive: true });
  await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
}

async function openPage(context, path = '/') {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  // A platform without a list of notifications answers 404; the browser reports that, the page goes on.
  page.on('response', (response) => {
    page.unlisted ||= response.status() === 404 && response.url().includes('/api/v1/notifications');
  });
  page.requested = [];
  page.on('request', (request) => page.requested.push(request.url()));
  await page.goto(base + path);
  return page;
}

const signedIn = (page) => page.getByTestId('composer').waitFor({ timeout: PATIENCE_MS });
const turns = (page) => page.getByTestId('turn');
const outcomes = (page) =>
  page.$$eval('[data-testid="turn"]', (all) => all.map((turn) => turn.dataset.outcome));

/** Types a message and waits for its turn; gives the number of turns before. */
async function say(page, text) {
  const before = await turns(page).count();
  await page.getByTestId('composer').fill(text);
  await page.keyboard.press('Enter');
  return before;
}

/** Waits for the end of turn number `index`; gives its outcome. */
const ended = (page, index) =>
  until(
    page,
    `the end of turn ${index + 1}`,
    (at) => {
      const outcome = document.querySelectorAll('[data-testid="turn"]')[at]?.dataset.outcome;
      return outcome !== undefined && outcome !== 'running' && outcome;
    },
    index,
  );

async function loginChecks(page) {
  await check('the login link signs in and leaves the address bar', async () => {
    await signedIn(page);
    assert.ok(!page.url().includes('dxl_'), page.url());
    assert.ok(!page.url().includes('/login'), page.url());
  });
  await check('no token is kept in the storage of the browser', async () => {
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
    assert.doesNotMatch(kept, /dxl_|dxr_|access_token|Bearer|eyJ/);
  });
  await check('example prompts are buttons', async () => {
    await page.locator('[data-testid^="prompt-"]').first().waitFor({ timeout: PATIENCE_MS });
    const count = await page.locator('[data-testid^="prompt-"]').count();
    assert.ok(count >= 3, `${count} prompts`);
    await shot(page, 'welcome');
    return `${count}`;
  });
}

/** Presses the prompt whose text speaks of `pattern`. */
async function pressPrompt(page, pattern) {
  const ids = await page.$$eval(
    '[data-testid^="prompt-"]',
    (all, source) =>
      all.filter((one) => new RegExp(source, 'i').test(one.textContent)).map((one) => one.dataset.testid),
    pattern,
  );
  assert.ok(ids.length > 0, `no prompt speaks of ${pattern}`);
  await page.getByTestId(ids[0]).click();
}

async function chartChecks(page) {
  await check('the first prompt answers soon (goal: under 1000 ms)', async () => {
    const start = performance.now();
    await pressPrompt(page, 'rsi|chart');
    await page
      .locator('[data-testid="tool"], [data-testid="answer"] .markdown')
      .first()
      .waitFor({ timeout: PATIENCE_MS });
    const took = Math.round(performance.now() - start);
    assert.ok(took < FIRST_TOKEN_MS, `${took} ms`);
    return `${took} ms`;
  });
  await check('it ends, with named tool rows and a cost', async () => {
    assert.equal(await ended(page, 0), 'complete');
    assert.ok((await page.getByTestId('tool').count()) > 0, 'no tool row');
    assert.ok(await page.getByTestId('cost').first().isVisible());
  });
  await check('the chart has changed in place', async () => {
    const facts = await until(page, 'RSI on 1h', () => {
      const facts = window.__dexorder;
      const rsi = facts.indicators().some((key) => key.startsWith('rsi'));
      return rsi && facts.interval() === '3600s' && { symbol: facts.symbol(), ...facts.marks() };
    });
    await page.waitForTimeout(600);
    await shot(page, 'chart');
    return `${facts.symbol}, ${facts.markers} markers, ${facts.levels} levels`;
  });
  await check('arguments of a tool are shown on demand', async () => {
    const tool = page.getByTestId('tool').first();
    await tool.getByRole('button').click();
    await tool.locator('.tool-detail').waitFor({ timeout: 3000 });
    await tool.getByRole('button').click();
  });
  await check('numbers of the answer name their source', async () => {
    const cited = await page.getByTestId('cited').count();
    if (cited === 0 && mock === undefined) return 'left out: no number was cited';
    const title = await page.getByTestId('cited').first().getAttribute('title');
    assert.match(title, /^From /);
    return `${cited} cited, ${await page.getByTestId('unsourced').count()} marked`;
  });
}

async function backtestChecks(page) {
  await check('a backtest shows progress and then its card', async () => {
    const at = await say(page, 'Backtest a 20/50 cross on BTC 1h');
    await page
      .locator('[data-testid="turn"]')
      .nth(at)
      .getByTestId('tool')
      .first()
      .waitFor({ timeout: PATIENCE_MS });
    await page.waitForTimeout(900);
    await shot(page, 'backtest-runs');
    assert.equal(await ended(page, at), 'complete');
    await page.getByTestId('card-backtest').last().waitFor({ timeout: PATIENCE_MS });
    await page.getByTestId('curves').last().waitFor({ timeout: PATIENCE_MS });
    await page.waitForTimeout(400);
    await shot(page, 'backtest-card');
    return (await page.getByTestId('card-backtest').last().locator('.figures').textContent()).slice(0, 60);
  });
  await check('its report opens in a frame without rights', async () => {
    await page.getByTestId('open-report').last().click();
    const frame = page.getByTestId('report-frame');
    await frame.waitFor({ timeout: PATIENCE_MS });
    assert.equal(await frame.getAttribute('sandbox'), '');
    await page.waitForTimeout(500);
    await shot(page, 'report');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached', timeout: 3000 });
    // The browser says that it stopped the script that the mock has put into its report.
    page.complaints = page.complaints.filter((text) => !text.includes('about:srcdoc'));
  });
  await check('its trades go on the chart', async () => {
    const button = page.getByTestId('show-trades').last();
    if ((await button.count()) === 0) return 'left out: the run has no fills';
    await button.click();
    return `${await until(page, 'markers', () => window.__dexorder.marks().markers)} markers`;
  });
}

async function resumeChecks(context, page, longText) {
  await check('a reload during an answer shows it from the beginning and goes on', async () => {
    const at = await say(page, longText);
    await turns(page).nth(at).getByTestId('tool').first().waitFor({ timeout: PATIENCE_MS });
    const before = (await outcomes(page))[at];
    if (mock !== undefined) assert.equal(before, 'running');
    await page.waitForTimeout(mock === undefined ? 0 : 700);
    await page.reload();
    await signedIn(page);
    await until(
      page,
      'the same turn',
      (index) => document.querySelectorAll('[data-testid="turn"]')[index] !== undefined,
      at,
    );
    await shot(page, 'resumed');
    return (await outcomes(page)).join(', ');
  });
  const second = await openPage(context);
  await check('a second tab shows the same live answer', async () => {
    await signedIn(second);
    await until(
      second,
      'the turns',
      (count) => document.querySelectorAll('[data-testid="turn"]').length === count,
      await turns(page).count(),
    );
    const running = (await outcomes(second)).at(-1);
    if (running !== 'running' && mock === undefined) return 'left out: the answer had ended';
    assert.equal(running, 'running');
  });
  await check('Stop in one tab ends the answer in both', async () => {
    const at = (await turns(page).count()) - 1;
    if ((await outcomes(page)).at(-1) !== 'running' && mock === undefined)
      return 'left out: the answer had ended';
    const start = performance.now();
    await second.getByTestId('stop').click();
    assert.equal(await ended(second, at), 'stopped');
    assert.equal(await ended(page, at), 'stopped');
    await shot(page, 'stopped');
    return `${Math.round(performance.now() - start)} ms`;
  });
  await noComplaints(second, 'second tab');
  await second.close();
}

async function panelChecks(page) {
  await check('the drawer lists files, backtests, memory and activity', async () => {
    for (const tab of ['files', 'backtests', 'memory', 'activity']) {
      await page.getByTestId(`drawer-${tab}`).click();
      await page.waitForTimeout(500);
      if (tab === 'files') await page.locator('[data-testid^="file-strategies-"]').first().click();
      if (tab === 'backtests') await page.locator('[data-testid^="run-"]').first().click();
      await page.waitForTimeout(500);
      await shot(page, `drawer-${tab}`);
    }
    assert.equal(await page.locator('.drawer [role="alert"]').count(), 0);
    await page.getByTestId('drawer-activity').click();
  });
  await check('an API key is made, shown once, and named in the MCP settings', async () => {
    await page.getByTestId('account-button').click();
    await page.getByTestId('account-keys').click();
    await page.getByTestId('key-name').fill('journey');
    await page.getByTestId('key-make').click();
    const key = await page.getByTestId('fresh-key').textContent({ timeout: PATIENCE_MS });
    assert.match(key.trim(), /^dxk_/);
    const snippet = await page.getByTestId('mcp-snippet').textContent();
    assert.ok(snippet.includes(`${new URL(base).origin}/mcp`), snippet);
    await page.getByTestId('key-row').first().waitFor({ timeout: PATIENCE_MS });
    await shot(page, 'keys');
  });
  await check('profile, sessions and second factor open without a complaint', async () => {
    for (const name of ['profile', 'security', 'sessions', 'telegram', 'data', 'users', 'audit']) {
      const tab = page.getByTestId(`account-${name}`);
      if ((await tab.count()) === 0) continue;
      await tab.click();
      await page.waitForTimeout(400);
      if (name === 'security') {
        const begin = page.getByTestId('totp-begin');
        if ((await begin.count()) > 0) await begin.click();
        await page.waitForTimeout(300);
      }
      assert.equal(await page.locator('.account-body [role="alert"]').count(), 0, name);
      await shot(page, `account-${name}`);
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached', timeout: 3000 });
  });
}

async function keyChecks(page) {
  await check('/ goes to the composer, Ctrl-K opens the commands, Esc closes', async () => {
    await page.getByTestId('chart').click({ position: { x: 200, y: 200 } });
    await page.keyboard.press('/');
    await until(page, 'the composer', () => document.activeElement?.dataset.testid === 'composer');
    await page.keyboard.press('ArrowUp');
    const recalled = await page.getByTestId('composer').inputValue();
    assert.notEqual(recalled, '');
    await page.getByTestId('composer').fill('');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('files');
    await page.getByRole('dialog', { name: 'Commands' }).waitFor({ timeout: 3000 });
    await shot(page, 'palette-chat');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached', timeout: 3000 });
  });
}

async function phoneChecks() {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: 'light',
    storageState: await desktop.storageState(),
  });
  const page = await openPage(context);
  await check('on a phone everything is a tab and nothing is wider than the screen', async () => {
    await page.getByTestId('tab-chat').tap();
    await signedIn(page);
    await turns(page).first().waitFor({ timeout: PATIENCE_MS });
    await page.waitForTimeout(800);
    for (const tab of ['chat', 'work', 'watch', 'trades', 'chart']) {
      await page.getByTestId(`tab-${tab}`).tap();
      await page.waitForTimeout(500);
      await shot(page, `phone-${tab}`);
      const [scroll, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(scroll <= width, `${tab}: ${scroll} px on a screen of ${width} px`);
    }
    await page.getByTestId('account-button').tap();
    await page.getByTestId('account-keys').tap();
    await page.waitForTimeout(400);
    await shot(page, 'phone-keys');
    await page.keyboard.press('Escape');
  });
  await noComplaints(page, 'phone');
  await context.close();
}

async function signOutChecks(page) {
  await check('signing out leaves the market, without anything of the user', async () => {
    await page.getByTestId('account-button').click();
    await page.getByTestId('sign-out').click();
    await page.getByTestId('open-sign-in').waitFor({ timeout: PATIENCE_MS });
    assert.equal(await turns(page).count(), 0);
    await until(page, 'candles', () => window.__dexorder.candleCount() > 0);
    await page.getByTestId('open-sign-in').click();
    await page.getByTestId('sign-in-name').waitFor({ timeout: 5000 });
    await page.waitForTimeout(300);
    await shot(page, 'sign-in');
  });
  await check('a login link is good once', async () => {
    await page.goto(`${base}/login?link=${loginToken}`);
    await page.getByTestId('sign-in-name').waitFor({ timeout: PATIENCE_MS });
    assert.match(await page.locator('.chat-note').first().textContent(), /used before|too old/);
  });
}

const noComplaints = (page, where) =>
  check(`no error in the console (${where})`, () => {
    const complaints = page.complaints.filter((text) => !(page.unlisted && /status of 404/.test(text)));
    assert.deepEqual(complaints, []);
    return page.unlisted ? 'the platform lists no notifications' : undefined;
  });

const desktop = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' });
try {
  const page = await openPage(desktop, `/login?link=${loginToken}`);
  await loginChecks(page);
  await chartChecks(page);
  await backtestChecks(page);
  await resumeChecks(
    desktop,
    page,
    mock === undefined ? 'Backtest a 20/50 cross on BTC 1h' : 'Count to a million',
  );
  await panelChecks(page);
  await keyChecks(page);
  const tools = { check, say, ended, until, shot, openPage, signedIn, turns };
  if (mock !== undefined) await faultChecks(desktop, page, mock, tools);
  await noComplaints(page, 'desktop');
  await phoneChecks();
  await signOutChecks(page);
} finally {
  await browser.close();
  await mock?.close();
}
console.log(failures === 0 ? 'all checks passed' : `${failures} checks failed`);
process.exitCode = failures === 0 ? 0 : 1;
