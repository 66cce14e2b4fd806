// The part of the journey that only the mock's scripts can make happen: cut connections, old tokens, refusals, hostile text.
import assert from 'node:assert/strict';

/** What only scripts of the mock can make happen. */
export async function faultChecks(context, page, mock, tools) {
  const { check, say, ended, until, shot, openPage, signedIn, turns } = tools;
  const post = (path) => fetch(`${mock.url}/mock/${path}`, { method: 'POST' });
  await check('a cut connection loses nothing of an answer', async () => {
    const at = await say(page, 'A long answer, please');
    await until(
      page,
      'some text',
      (i) => /Word 5 /.test(document.querySelectorAll('[data-testid="answer"]')[i]?.textContent),
      at,
    );
    await post('cut');
    await until(
      page,
      'more text',
      (i) => /Word 60 /.test(document.querySelectorAll('[data-testid="answer"]')[i]?.textContent),
      at,
    );
    assert.equal(await ended(page, at), 'complete');
    const text = await page.getByTestId('answer').nth(at).textContent();
    for (let word = 1; word <= 120; word += 1)
      assert.equal(text.split(`Word ${word} of`).length, 2, `word ${word}`);
  });
  await check('where no WebSocket works, answers still come', async () => {
    await post('block');
    await post('cut');
    const at = await say(page, 'Say something without a socket');
    assert.equal(await ended(page, at), 'complete');
    await post('allow');
  });
  await check('an old token is renewed once for all tabs', async () => {
    const other = await openPage(context);
    await signedIn(other);
    await turns(other).first().waitFor({ timeout: 15_000 });
    const before = mock.accounts.refreshes;
    await post('expire');
    await Promise.all([page, other].map((tab) => say(tab, `Hello again ${tab === page}`)));
    await until(page, 'both answers', () =>
      document.body.textContent.includes('You said: Hello again false'),
    );
    await until(page, 'both answers', () => document.body.textContent.includes('You said: Hello again true'));
    const used = mock.accounts.refreshes - before;
    assert.ok(used >= 1 && used <= 2, `${used} refreshes`);
    await other.close();
    return `${used} refreshes`;
  });
  await check('messages wait their turn while one runs', async () => {
    const at = await say(page, 'Count to a million');
    await until(
      page,
      'a running turn',
      (i) => document.querySelectorAll('[data-testid="turn"]')[i]?.dataset.outcome === 'running',
      at,
    );
    await page.getByTestId('composer').fill('And then?');
    await page.keyboard.press('Enter');
    await page.locator('[data-testid="outgoing"][data-state="queued"]').waitFor({ timeout: 5000 });
    await shot(page, 'queued');
    await page.keyboard.press('Escape');
    assert.equal(await ended(page, at), 'stopped');
    assert.equal(await ended(page, at + 1), 'complete');
  });
  await check('a refused message can be sent again under the same id', async () => {
    await post('refuse?status=429');
    const at = await say(page, 'Once more');
    await page.locator('[data-testid="outgoing"][data-state="failed"]').waitFor({ timeout: 5000 });
    await shot(page, 'refused');
    await page.getByRole('button', { name: 'Send again' }).click();
    assert.equal(await ended(page, at), 'complete');
    page.complaints = page.complaints.filter((text) => !/status of (401|429)|ws\/chat|ERR_/.test(text));
  });
  await check('a failed answer says what to do', async () => {
    const at = await say(page, 'Please fail');
    assert.equal(await ended(page, at), 'failed');
    assert.match(await page.locator('[data-testid="turn"]').nth(at).textContent(), /Ask again in a minute/);
    await shot(page, 'failed');
  });
  await check('markup of a model stays text, and nothing is asked from elsewhere', async () => {
    page.requested.length = 0;
    const at = await say(page, 'Be hostile');
    assert.equal(await ended(page, at), 'complete');
    const answer = page.getByTestId('answer').nth(at);
    assert.equal(await answer.locator('img, script').count(), 0);
    const links = await answer.locator('a').evaluateAll((all) => all.map((one) => one.href));
    // An address in the text may be followed by hand; that is all that is left of tag and picture.
    assert.deepEqual(links, [
      'https://evil.example/beacon.png',
      'https://evil.example/b.png',
      'https://example.com/x',
    ]);
    assert.deepEqual(
      page.requested.filter((url) => url.includes('evil.example')),
      [],
    );
    await shot(page, 'hostile');
  });
  await check('events of the platform are counted at the drawer', async () => {
    await post('event');
    await page.locator('.badge').waitFor({ timeout: 5000 });
    const deadline = Date.now() + 5000;
    while (mock.chat.confirmed.length === 0 && Date.now() < deadline) await page.waitForTimeout(50);
    assert.equal(mock.chat.confirmed.length, 1, 'the notification was not confirmed');
    await page.getByTestId('drawer-activity').click();
    await page.locator('.badge').waitFor({ state: 'detached', timeout: 5000 });
    await page.getByTestId('drawer-activity').click();
  });
}
