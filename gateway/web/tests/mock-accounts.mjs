// The accounts of the mock: sessions by cookie and token, login links, keys, second factor (docs/protocol/13-accounts.md).
import { randomBytes } from 'node:crypto';

const ACCESS_MS = 15 * 60_000;
const COOKIE = 'dexorder_refresh';

export class Refusal extends Error {
  constructor(status, code, message, { field, retryable = false } = {}) {
    super(message);
    this.status = status;
    this.body = { error: { code, field: field ?? null, message, retryable } };
  }
}

const token = (prefix, bytes = 32) => prefix + randomBytes(bytes).toString('base64url');
const iso = (ms) => new Date(ms).toISOString();

export class MockAccounts {
  constructor({ accessMs = ACCESS_MS } = {}) {
    this.accessMs = accessMs;
    this.users = new Map();
    this.links = new Map();
    this.refresh = new Map();
    this.access = new Map();
    this.tickets = new Map();
    this.sessions = new Map();
    this.refreshes = 0;
    this.onSessionEnded = () => undefined;
    this.addUser('admin', 'correct horse battery', 'admin', 'enterprise');
    this.addUser('mallory', 'correct horse battery', 'user', 'free');
  }

  addUser(name, password, role, tier) {
    const id = `01JMOCK${randomBytes(10).toString('hex').toUpperCase()}`.slice(0, 26);
    const user = { id, name, password, role, tier, totp: undefined, pending: undefined, disabled: false };
    Object.assign(user, { created_at: iso(Date.now()), keys: [], telegram: false });
    this.users.set(id, user);
    return user;
  }

  byName(name) {
    return [...this.users.values()].find((user) => user.name === name);
  }

  /** A login link for a user, as `up` prints it. */
  link(name = 'admin') {
    const value = token('dxl_');
    this.links.set(value, this.byName(name).id);
    return value;
  }

  open(user, request, response) {
    const sid = token('s_', 8);
    this.sessions.set(sid, {
      id: sid,
      user: user.id,
      created_at: iso(Date.now()),
      last_used_at: iso(Date.now()),
      client: /Chrome\/\d+/.test(request.headers['user-agent'] ?? '') ? 'Chromium' : 'A program',
      address: '127.0.0.1',
    });
    return this.grant(user, sid, response);
  }

  grant(user, sid, response) {
    const refresh = token('dxr_');
    const access = token('mock.', 24);
    this.refresh.set(refresh, { sid, used: false });
    this.access.set(access, { sid, user: user.id, until: Date.now() + this.accessMs });
    response.setHeader(
      'set-cookie',
      `${COOKIE}=${refresh}; HttpOnly; SameSite=Strict; Path=/api/v1/auth; Max-Age=2592000`,
    );
    return {
      access_token: access,
      expires_at: iso(Date.now() + this.accessMs),
      user: { user_id: user.id, name: user.name, role: user.role, tier: user.tier },
    };
  }

  /** A used refresh token ends the whole session. */
  renew(request, response) {
    this.refreshes += 1;
    const held = new RegExp(`${COOKIE}=([^;]+)`).exec(request.headers.cookie ?? '')?.[1];
    const entry = this.refresh.get(held);
    if (entry === undefined) throw new Refusal(401, 'UNAUTHENTICATED', 'There is no session.');
    if (entry.used || !this.sessions.has(entry.sid)) {
      this.end(entry.sid);
      throw new Refusal(401, 'UNAUTHENTICATED', 'The session has ended.');
    }
    entry.used = true;
    const session = this.sessions.get(entry.sid);
    session.last_used_at = iso(Date.now());
    return this.grant(this.users.get(session.user), entry.sid, response);
  }

  end(sid) {
    this.sessions.delete(sid);
    for (const [key, value] of this.access) if (value.sid === sid) this.access.delete(key);
    this.onSessionEnded(sid);
  }

  /** Everybody's access tokens become old at once. */
  expireAll() {
    this.access.clear();
  }

  who(request) {
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const held = this.access.get(bearer);
    if (held === undefined || held.until < Date.now())
      throw new Refusal(401, 'UNAUTHENTICATED', 'Sign in first.');
    return { user: this.users.get(held.user), sid: held.sid };
  }

  ticket(who) {
    const value = token('dxt_');
    this.tickets.set(value, { ...who, until: Date.now() + 30_000 });
    return { ticket: value, expires_at: iso(Date.now() + 30_000) };
  }

  redeem(value) {
    const held = this.tickets.get(value);
    this.tickets.delete(value);
    return held !== undefined && held.until > Date.now() ? held : undefined;
  }

  /** Answers a route of accounts, or undefined if it is none. */
  route(method, path, body, request, response) {
    const key = `${method} ${path}`;
    switch (key) {
      case 'GET auth/options':
        return {
          sign_up: true,
          anonymous: false,
          disclaimer: {
            version: '1',
            text: 'This is a simulation. Nothing here is advice. You can lose everything.',
          },
          minimum_age: 18,
        };
      case 'POST auth/link': {
        const id = this.links.get(body.token);
        this.links.delete(body.token);
        if (id === undefined) throw new Refusal(401, 'UNAUTHENTICATED', 'The login link is not good.');
        return this.open(this.users.get(id), request, response);
      }
      case 'POST auth/login': {
        const user = this.byName(body.name);
        if (user === undefined || user.password !== body.password || user.disabled)
          throw new Refusal(401, 'UNAUTHENTICATED', 'Name or password is wrong.');
        if (user.totp !== undefined && body.totp === undefined)
          throw new Refusal(401, 'TOTP_REQUIRED', 'A code is needed.');
        if (user.totp !== undefined && body.totp !== '123456')
          throw new Refusal(401, 'UNAUTHENTICATED', 'The code is wrong.', { field: 'totp' });
        return this.open(user, request, response);
      }
      case 'POST auth/sign-up': {
        if (this.byName(body.name))
          throw new Refusal(409, 'CONFLICT', 'This name is taken.', { field: 'name' });
        if (Date.now() - Date.parse(body.birth_date) < 18 * 365.25 * 86_400_000)
          throw new Refusal(403, 'FORBIDDEN', 'You must be 18 or older.', { field: 'birth_date' });
        return this.open(this.addUser(body.name, body.password, 'user', 'free'), request, response);
      }
      case 'POST auth/refresh':
        return this.renew(request, response);
      case 'POST auth/logout': {
        const held = new RegExp(`${COOKIE}=([^;]+)`).exec(request.headers.cookie ?? '')?.[1];
        const entry = this.refresh.get(held);
        if (entry !== undefined) this.end(entry.sid);
        response.setHeader('set-cookie', `${COOKIE}=; HttpOnly; Path=/api/v1/auth; Max-Age=0`);
        return null;
      }
      default:
        return path.startsWith('auth/') ? undefined : this.personal(key, path, body, request);
    }
  }

  personal(key, path, body, request) {
    const admin = path.startsWith('admin/');
    if (!/^(account|sessions|api-keys|ws-tickets|admin)(\/|$)/.test(path)) return undefined;
    const who = this.who(request);
    const { user, sid } = who;
    if (admin && user.role !== 'admin') throw new Refusal(403, 'FORBIDDEN', 'For administrators only.');
    switch (key) {
      case 'POST ws-tickets':
        return this.ticket(who);
      case 'GET account':
        return {
          user_id: user.id,
          name: user.name,
          role: user.role,
          tier: user.tier,
          created_at: user.created_at,
          password: true,
          totp: user.totp !== undefined,
          telegram: user.telegram,
          limits: {
            memory_bytes: 4_294_967_296,
            cpu_millicores: 4000,
            storage_bytes: 53_687_091_200,
            idle_timeout_s: null,
            requests_per_minute: 12_000,
            messages_per_minute: 240,
            messages_per_day: 50_000,
            mcp_requests_per_minute: 12_000,
            api_keys: 50,
            sessions: 50,
          },
        };
      case 'PUT account/password':
        if (body.current !== user.password)
          throw new Refusal(401, 'UNAUTHENTICATED', 'The current password is wrong.', { field: 'current' });
        user.password = body.new;
        return null;
      case 'POST account/totp':
        user.pending = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
        return {
          secret: user.pending,
          url: `otpauth://totp/DexOrder:${user.name}?secret=${user.pending}&issuer=DexOrder`,
        };
      case 'POST account/totp/confirm':
        if (body.code !== '123456')
          throw new Refusal(400, 'INVALID_FIELD', 'The code is wrong.', { field: 'code' });
        user.totp = user.pending;
        return null;
      case 'DELETE account/totp':
        if (body.code !== '123456')
          throw new Refusal(400, 'INVALID_FIELD', 'The code is wrong.', { field: 'code' });
        user.totp = undefined;
        return null;
      case 'POST account/telegram-codes':
        return { code: 'K7Q2-M9XA', expires_at: iso(Date.now() + 600_000) };
      case 'GET account/export':
        return { account: { name: user.name }, conversations: [] };
      case 'DELETE account':
        if (body.confirm !== user.name)
          throw new Refusal(400, 'INVALID_FIELD', 'Not your name.', { field: 'confirm' });
        return {
          before: { messages: 12, files: 2, keys: user.keys.length },
          after: { messages: 0, files: 0, keys: 0 },
        };
      case 'GET sessions':
        return {
          sessions: [...this.sessions.values()]
            .filter((session) => session.user === user.id)
            .map((session) => ({ ...session, current: session.id === sid })),
        };
      case 'GET api-keys':
        return { api_keys: user.keys };
      case 'POST api-keys': {
        const id = randomBytes(4).toString('hex');
        user.keys.push({
          id,
          name: body.name,
          scopes: body.scopes,
          created_at: iso(Date.now()),
          expires_at: body.expires_at ?? null,
        });
        return {
          id,
          name: body.name,
          scopes: body.scopes,
          key: `dxk_${id}_${randomBytes(32).toString('base64url')}`,
        };
      }
      default:
        return this.withId(key, path, body, user);
    }
  }

  withId(key, path, body, user) {
    const id = decodeURIComponent(path.split('/').at(-1));
    if (key.startsWith('DELETE sessions/')) {
      this.end(id);
      return null;
    }
    if (key.startsWith('DELETE api-keys/')) {
      user.keys = user.keys.filter((entry) => entry.id !== id);
      return null;
    }
    if (key === 'GET admin/users')
      return {
        users: [...this.users.values()].map((entry) => ({
          user_id: entry.id,
          name: entry.name,
          role: entry.role,
          tier: entry.tier,
          disabled: entry.disabled,
          created_at: entry.created_at,
          container: { state: entry.name === 'admin' ? 'ready' : 'asleep' },
          usage: {
            tokens: entry.name === 'admin' ? 48_211 : 0,
            cost: entry.name === 'admin' ? '$0.12' : '$0.00',
          },
        })),
      };
    if (key === 'POST admin/users') {
      const { name, tier } = body;
      if (this.byName(name)) throw new Refusal(409, 'CONFLICT', 'This name is taken.', { field: 'name' });
      return {
        user_id: this.addUser(name, undefined, 'user', tier).id,
        name,
        role: 'user',
        tier,
        disabled: false,
      };
    }
    if (key.startsWith('PATCH admin/users/')) {
      Object.assign(this.users.get(id), body);
      return null;
    }
    const linked = /^POST admin\/users\/([^/]+)\/login-link$/.exec(key)?.[1];
    if (linked !== undefined) return { token: this.link(this.users.get(decodeURIComponent(linked)).name) };
    if (key === 'GET admin/audit')
      return {
        entries: [
          { position: 2, event: 'login', outcome: 'link used', name: 'admin' },
          { position: 1, event: 'login', outcome: 'wrong password', name: 'mallory' },
        ].map((entry) => ({
          ...entry,
          at: iso(Date.now() - (3 - entry.position) * 60_000),
          user_id: '',
          by: '',
          address: '127.0.0.1',
          hash: 'ab'.repeat(32),
        })),
        next: null,
      };
    if (key === 'GET admin/audit/verify') return { state: 'intact', entries: 2, head: 'ab'.repeat(32) };
    throw new Refusal(404, 'NOT_FOUND', 'There is no such thing.');
  }
}
