// Signing in and out: the token in memory only, renewed once for all, links out of the address, other tabs told.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { decodeAuthOptions } from '../../src/session/auth-options';
import { readArrival } from '../../src/session/login-link';
import { asksForTotp, Session, type SessionWorld, type TabChannel } from '../../src/session/session';
import { deferred, MapStorage, settle } from './builders';

const NOW = 1_800_000_000_000;
const LINK = `dxl_${'a'.repeat(43)}`;
const PLAIN = { token: undefined, telegram: undefined };

const grant = (token: string, change: object = {}) => ({
  access_token: token,
  expires_at: new Date(NOW + 900_000).toISOString(),
  user: { user_id: '01U', name: 'ada', role: 'user', tier: 'free', ...change },
});

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });
const refusal = (status: number, code: string) =>
  json(status, { error: { code, field: null, message: code, retryable: false } });

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(NOW);
});

afterEach(() => {
  vi.useRealTimers();
});

function sessionWith(
  answers: Record<string, (init: RequestInit) => Response | Promise<Response>>,
  storage = new MapStorage(),
) {
  const calls: { path: string; init: RequestInit }[] = [];
  const posted: unknown[] = [];
  const channel: TabChannel = { postMessage: (message) => void posted.push(message), onmessage: null };
  const world: SessionWorld = {
    fetch: async (input, init) => {
      const path = input.replace('/api/v1/', '');
      calls.push({ path, init });
      const answer = answers[path];
      if (answer === undefined) throw new TypeError(`nothing answers ${path}`);
      return answer(init);
    },
    now: () => Date.now(),
    storage,
    channel,
    exclusively: (run) => run(),
  };
  const session = new Session(world);
  const hear = (data: unknown) => channel.onmessage?.({ data });
  const paths = () => calls.map(({ path }) => path);
  return { session, calls, paths, posted, hear, storage };
}

const bearer = (init: RequestInit) => (init.headers as Record<string, string> | undefined)?.authorization;

describe('a start', () => {
  test('without any trace of a session asks nothing', async () => {
    const { session, calls } = sessionWith({});
    await session.start(PLAIN);
    expect(session.state.get()).toEqual({ status: 'signed-out', note: undefined });
    expect(calls).toEqual([]);
  });

  test('with a login link uses it and keeps no token in the storage', async () => {
    const { session, calls, storage } = sessionWith({ 'auth/link': () => json(200, grant('t1')) });
    await session.start({ token: LINK, telegram: undefined });
    expect(session.state.get()).toMatchObject({ status: 'signed-in', user: { name: 'ada' } });
    expect(JSON.parse(String(calls[0]?.init.body))).toEqual({ token: LINK });
    expect([...storage.map.values()].join()).toBe('true');
  });

  test('with a used link says what to do', async () => {
    const { session } = sessionWith({ 'auth/link': () => refusal(401, 'UNAUTHENTICATED') });
    await session.start({ token: LINK, telegram: undefined });
    expect(session.state.get()).toMatchObject({
      status: 'signed-out',
      note: expect.stringMatching(/new one/),
    });
  });

  test('with a session of this browser renews it by the cookie alone', async () => {
    const storage = new MapStorage();
    storage.setItem('dexorder.signed-in.v1', 'true');
    const { session, calls } = sessionWith({ 'auth/refresh': () => json(200, grant('t1')) }, storage);
    await session.start(PLAIN);
    expect(session.state.get().status).toBe('signed-in');
    expect(calls[0]?.init.body).toBeUndefined();
  });

  test('with a session that has ended forgets it and says so', async () => {
    const storage = new MapStorage();
    storage.setItem('dexorder.signed-in.v1', 'true');
    const { session } = sessionWith({ 'auth/refresh': () => refusal(401, 'UNAUTHENTICATED') }, storage);
    await session.start(PLAIN);
    expect(session.state.get()).toMatchObject({
      status: 'signed-out',
      note: expect.stringMatching(/Sign in again/),
    });
    expect(storage.map.size).toBe(0);
  });

  test('while the gateway cannot be reached waits and tries again, and does not sign out', async () => {
    const storage = new MapStorage();
    storage.setItem('dexorder.signed-in.v1', 'true');
    let up = false;
    const { session, calls } = sessionWith(
      {
        'auth/refresh': () => {
          if (!up) throw new TypeError('failed to fetch');
          return json(200, grant('t1'));
        },
      },
      storage,
    );
    await session.start(PLAIN);
    expect(session.state.get().status).toBe('starting');
    up = true;
    await vi.advanceTimersByTimeAsync(1000);
    expect(session.state.get().status).toBe('signed-in');
    expect(calls).toHaveLength(2);
  });
});

async function signedIn(answers: Parameters<typeof sessionWith>[0]) {
  const made = sessionWith({ 'auth/login': () => json(200, grant('t1')), ...answers });
  await made.session.signIn('ada', 'a long password', undefined);
  made.calls.length = 0;
  return made;
}

describe('the access token', () => {
  test('goes with every request', async () => {
    const { session, calls } = await signedIn({ account: () => json(200, {}) });
    await session.fetch('/api/v1/account', { method: 'GET', headers: { accept: 'application/json' } });
    expect(calls[0]?.init.headers).toEqual({ accept: 'application/json', authorization: 'Bearer t1' });
  });

  test('that is refused is renewed once for all who wait, and each request is repeated', async () => {
    const fresh = deferred<Response>();
    const { session, paths } = await signedIn({
      account: (init) =>
        bearer(init) === 'Bearer t2' ? json(200, { ok: true }) : refusal(401, 'UNAUTHENTICATED'),
      'auth/refresh': () => fresh.promise,
    });
    const asked = Array.from({ length: 5 }, () => session.fetch('/api/v1/account', {}));
    await settle();
    fresh.resolve(json(200, grant('t2')));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
    expect(paths().filter((path) => path === 'auth/refresh')).toHaveLength(1);
  });

  test('that ends soon is renewed before it is used', async () => {
    const { session, paths } = await signedIn({
      account: () => json(200, {}),
      'auth/refresh': () =>
        json(200, { ...grant('t2'), expires_at: new Date(NOW + 1_800_000).toISOString() }),
    });
    vi.setSystemTime(NOW + 895_000);
    await session.fetch('/api/v1/account', {});
    expect(paths()).toEqual(['auth/refresh', 'account']);
  });

  test('is not renewed for a wrong password', async () => {
    const { session, paths } = await signedIn({ 'account/password': () => refusal(401, 'UNAUTHENTICATED') });
    const { status } = await session.fetch('/api/v1/account/password', {});
    expect(status).toBe(401);
    expect(paths()).toEqual(['account/password']);
  });

  test('that cannot be renewed ends the session, and the refusal is handed on', async () => {
    const { session } = await signedIn({
      account: () => refusal(401, 'UNAUTHENTICATED'),
      'auth/refresh': () => refusal(401, 'UNAUTHENTICATED'),
    });
    const { status } = await session.fetch('/api/v1/account', {});
    expect(status).toBe(401);
    expect(session.state.get().status).toBe('signed-out');
  });

  test('outlives a gateway that is away for a moment', async () => {
    const { session } = await signedIn({
      account: () => refusal(401, 'UNAUTHENTICATED'),
      'auth/refresh': () => json(503, {}),
    });
    await session.fetch('/api/v1/account', {});
    expect(session.state.get().status).toBe('signed-in');
  });
});

describe('other tabs', () => {
  test('are told the new token and use it instead of renewing themselves', async () => {
    const one = await signedIn({});
    const message = one.posted.at(-1);
    const other = sessionWith({ account: () => json(200, {}) });
    other.hear(message);
    await other.session.fetch('/api/v1/account', {});
    expect(other.session.state.get().status).toBe('signed-in');
    expect(bearer(other.calls[0]?.init ?? {})).toBe('Bearer t1');
  });

  test('that renew at the same time spend one refresh token after the other', async () => {
    let busy: Promise<unknown> = Promise.resolve();
    const exclusively = <T>(run: () => Promise<T>): Promise<T> => {
      const next = busy.then(run, run);
      busy = next.catch(() => undefined);
      return next;
    };
    let refreshes = 0;
    const tabs: Session[] = [];
    const channels: TabChannel[] = [];
    for (let i = 0; i < 2; i += 1) {
      const channel: TabChannel = {
        postMessage: (data) => {
          for (const other of channels) if (other !== channel) other.onmessage?.({ data });
        },
        onmessage: null,
      };
      channels.push(channel);
      const fetchImpl = async () => {
        refreshes += 1;
        return json(200, grant(`t${refreshes}`));
      };
      tabs.push(
        new Session({ fetch: fetchImpl, now: () => Date.now(), storage: undefined, channel, exclusively }),
      );
    }
    const done = await Promise.all(tabs.map((tab) => tab.renew()));
    expect(done).toEqual([true, true]);
    expect(refreshes).toBe(1);
  });

  test('sign out together', async () => {
    const { session, posted } = await signedIn({ 'auth/logout': () => new Response(null, { status: 204 }) });
    const other = await signedIn({});
    await session.signOut();
    other.hear(posted.at(-1));
    expect(session.state.get()).toEqual({ status: 'signed-out', note: undefined });
    expect(other.session.state.get().status).toBe('signed-out');
  });
});

test('a missing second factor can be told from a wrong password', async () => {
  const { session } = sessionWith({ 'auth/login': () => refusal(401, 'TOTP_REQUIRED') });
  const error = await session.signIn('ada', 'x', undefined).catch((thrown: unknown) => thrown);
  expect(asksForTotp(error)).toBe(true);
  expect(asksForTotp(new Error('else'))).toBe(false);
});

describe('the address', () => {
  const at = (pathname: string, search = '', hash = '') => readArrival({ pathname, search, hash });

  test('of a login link gives the token and is cleaned of it', () => {
    expect(at('/login', `?link=${LINK}`)).toEqual({
      token: LINK,
      telegram: undefined,
      wantsLogin: true,
      cleaned: '/',
    });
    expect(at('/', '?symbol=SIM:BTC/USDT', `#link=${LINK}`)).toMatchObject({
      token: LINK,
      cleaned: '/?symbol=SIM:BTC/USDT',
    });
  });

  test.each(['dxl_short', 'eyJhbGciOi', `dxl_${'a'.repeat(200)}`, '<script>', ''])(
    'with %j as a link is cleaned and gives no token',
    (held) => {
      const arrival = at('/login', `?link=${encodeURIComponent(held)}`);
      expect(arrival).toMatchObject({ token: undefined, wantsLogin: true, cleaned: '/' });
    },
  );

  test('of the page itself stays as it is', () => {
    expect(at('/', '?symbol=SIM:BTC/USDT&interval=1m')).toMatchObject({
      wantsLogin: false,
      cleaned: undefined,
    });
  });

  test('back from Telegram gives its fields and loses them', () => {
    const arrival = at('/login', '?id=7&first_name=Ada&auth_date=1&hash=ff&interval=1m');
    expect(arrival.telegram).toEqual({ id: '7', first_name: 'Ada', auth_date: '1', hash: 'ff' });
    expect(arrival.cleaned).toBe('/?interval=1m');
  });
});

test('a bot whose name cannot be one is not offered', () => {
  const options = { sign_up: true, disclaimer: { version: '1', text: 't' }, minimum_age: 18 };
  expect(decodeAuthOptions({ ...options, telegram_bot: 'dex_bot' }).telegramBot).toBe('dex_bot');
  expect(decodeAuthOptions({ ...options, telegram_bot: '"><img>' }).telegramBot).toBeUndefined();
  expect(decodeAuthOptions(options).telegramBot).toBeUndefined();
});
