// A stand-in for the whole gateway: the mock market with accounts and an assistant that follows scripts (12-chat.md, 13-accounts.md).
//
//   node tests/mock-server.mjs [--port 3000] [--access-seconds 900]
//
// Prints a login link. POST /mock/cut cuts the chat's sockets, /mock/block refuses new ones, /mock/allow ends that;
// /mock/expire makes all access tokens old; /mock/refuse?status=429 refuses the next message; /mock/event sends a user event.
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { MockAccounts, Refusal } from './mock-accounts.mjs';
import { startMock } from './mock-gateway.mjs';
import { createMarket } from './mock-market.mjs';
import { FILES, PROMPTS, reportOf, scriptOf } from './mock-turns.mjs';

const MAX_WAITING = 8;
const MAX_BODY = 64 * 1024;

let lastId = 0;
/** Sorts by time, like a ULID. */
const newId = () => {
  lastId = Math.max(lastId + 1, Date.now());
  return `01M${String(lastId).padStart(23, '0')}`;
};

async function readJson(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Refusal(413, 'TOO_LARGE', 'The message is too long.');
  }
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, 'MALFORMED', 'The body is not JSON.');
  }
}

class MockChat {
  constructor(accounts) {
    this.accounts = accounts;
    [this.market] = createMarket({ seed: 7, venues: ['SIM'] });
    this.turns = new Map();
    this.messages = new Map();
    this.queues = new Map();
    this.sockets = new Map();
    this.runs = [];
    this.notifications = [];
    this.confirmed = [];
    this.container = 'asleep';
    this.blocked = false;
    this.refuseNext = undefined;
    accounts.onSessionEnded = (sid) => {
      for (const [socket, held] of this.sockets) if (held.sid === sid) socket.close(4401);
    };
  }

  // Turns

  send(user, { message_id, conversation_id = 'main', text }) {
    const known = this.messages.get(message_id);
    if (known !== undefined) return known;
    if (this.refuseNext !== undefined) {
      const status = this.refuseNext;
      this.refuseNext = undefined;
      throw new Refusal(status, status === 429 ? 'OVER_QUOTA' : 'UNAVAILABLE', 'Too many messages at once.', {
        retryable: true,
      });
    }
    const key = `${user.id}/${conversation_id}`;
    const queue = this.queues.get(key) ?? [];
    this.queues.set(key, queue);
    if (queue.length > MAX_WAITING)
      throw new Refusal(429, 'LIMIT_EXCEEDED', 'Too many messages wait.', { retryable: true });
    const turn = {
      turn_id: newId(),
      user: user.id,
      conversation_id,
      message_id,
      text,
      events: [],
      ended: false,
      stopped: false,
      started_at: new Date().toISOString(),
    };
    this.turns.set(turn.turn_id, turn);
    queue.push(turn);
    const answer = { turn_id: turn.turn_id, conversation_id, queued: queue.length > 1 };
    this.messages.set(message_id, answer);
    if (queue.length === 1) void this.work(queue);
    this.tell(user.id, { type: 'conversations' });
    return answer;
  }

  async work(queue) {
    while (queue.length > 0) {
      const [turn] = queue;
      await this.run(turn);
      queue.shift();
    }
  }

  async run(turn) {
    const { text, conversation_id, message_id } = turn;
    this.container = 'ready';
    this.emit(turn, { type: 'turn_started', conversation_id, message_id, text, channel: 'web' });
    this.emit(turn, { type: 'model_chosen', model: 'offline', reason: 'no model is configured' });
    const context = { text, market: this.market, keepRun: () => this.keepRun() };
    for await (const step of scriptOf(text)(context)) {
      if (turn.stopped) break;
      if (typeof step === 'number') await new Promise((resolve) => setTimeout(resolve, step));
      else this.emit(turn, step);
    }
    if (!turn.ended) this.emitStopped(turn);
  }

  emitStopped(turn) {
    for (const { call_id } of turn.events.filter(({ type }) => type === 'tool_started')) {
      if (turn.events.some((event) => event.type === 'tool_ended' && event.call_id === call_id)) continue;
      this.emit(turn, {
        type: 'tool_ended',
        call_id,
        ok: false,
        duration_ms: 1000,
        summary: 'stopped',
        cards: [],
        chart: [],
      });
    }
    const text = turn.events
      .filter(({ type }) => type === 'text_delta')
      .map((event) => event.text)
      .join('');
    this.emit(turn, {
      type: 'turn_ended',
      outcome: 'stopped',
      text,
      citations: [],
      usage: { input_tokens: 210, cached_tokens: 0, output_tokens: 12 },
      cost_micro_usd: 310,
      problem: {
        code: 'STOPPED',
        message: 'You stopped this answer.',
        next: 'Ask again when you like.',
        retryable: false,
      },
    });
  }

  emit(turn, event) {
    const numbered = { sequence: turn.events.length + 1, at_ns: Date.now() * 1e6, ...event };
    turn.events.push(numbered);
    if (event.type === 'turn_ended') turn.ended = true;
    for (const [socket, held] of this.sockets) {
      if (held.user.id === turn.user && held.watched.has(turn.conversation_id))
        this.push(socket, turn, numbered);
    }
  }

  push(socket, turn, event) {
    if (socket.readyState !== 1) return;
    const { turn_id, conversation_id } = turn;
    socket.send(JSON.stringify({ type: 'event', turn_id, conversation_id, event }));
  }

  keepRun() {
    const run = reportOf(newId(), this.market);
    this.runs.unshift(run);
    return run;
  }

  own(user, id) {
    const turn = this.turns.get(id);
    if (turn?.user !== user.id) throw new Refusal(404, 'NOT_FOUND', 'There is no such turn.');
    return turn;
  }

  of(user, conversationId) {
    return [...this.turns.values()].filter(
      (turn) => turn.user === user.id && turn.conversation_id === conversationId && turn.events.length > 0,
    );
  }

  // Sockets

  tell(userId, message) {
    for (const [socket, held] of this.sockets)
      if (held.user.id === userId && socket.readyState === 1) socket.send(JSON.stringify(message));
  }

  connect(socket, held) {
    this.sockets.set(socket, { ...held, watched: new Set() });
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('message', (data) => this.receive(socket, JSON.parse(String(data))));
  }

  receive(socket, { op, conversation_id, turn_id, after = 0, event_ids = [] }) {
    const held = this.sockets.get(socket);
    if (held === undefined) return;
    if (op === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
    if (op === 'confirm') this.confirmed.push(...event_ids);
    if (op === 'unwatch') held.watched.delete(conversation_id);
    if (op !== 'watch') return;
    held.watched.add(conversation_id);
    const turns = this.of(held.user, conversation_id);
    const first =
      turn_id === undefined ? turns.length - 1 : turns.findIndex((turn) => turn.turn_id === turn_id);
    for (const turn of turns.slice(Math.max(0, first))) {
      const from = turn.turn_id === turn_id ? after : 0;
      for (const event of turn.events) if (event.sequence > from) this.push(socket, turn, event);
    }
  }

  // Routes

  route(method, path, query, body, user) {
    const [head, ...rest] = path.split('/').map(decodeURIComponent);
    switch (head) {
      case 'chat':
        return this.chatRoute(method, rest, query, body, user);
      case 'prompts':
        return { prompts: PROMPTS };
      case 'container':
        if (method === 'POST') this.container = 'ready';
        return { state: this.container, tier: user.tier, since: new Date().toISOString(), message: '' };
      case 'files':
        return this.filesRoute(rest, query);
      case 'backtests':
        return this.runsRoute(rest);
      case 'notifications':
        return this.notificationsRoute(method, body);
      case 'memory':
        return this.memoryRoute(method, rest, query, user);
      default:
        return undefined;
    }
  }

  chatRoute(method, [what, id, part], query, body, user) {
    if (what === 'messages' && method === 'POST') return { status: 202, body: this.send(user, body) };
    if (what === 'conversations' && id === undefined) return { conversations: this.conversations(user) };
    if (what === 'conversations' && part === 'turns') {
      const before = query.get('before');
      const limit = Number(query.get('limit') ?? 20);
      const all = this.of(user, id)
        .reverse()
        .filter(({ turn_id }) => before === null || turn_id < before);
      const turns = all.slice(0, limit).map((turn) => ({
        turn_id: turn.turn_id,
        conversation_id: id,
        started_at: turn.started_at,
        ended: turn.ended,
        last_sequence: turn.events.length,
      }));
      return { turns, ...(all.length > limit ? { next: turns.at(-1).turn_id } : {}) };
    }
    if (what === 'turns' && part === 'events') {
      const turn = this.own(user, id);
      const after = Number(query.get('after') ?? 0);
      return {
        events: turn.events.filter(({ sequence }) => sequence > after).slice(0, 1000),
        ended: turn.ended,
      };
    }
    if (what === 'turns' && part === 'stop') {
      this.own(user, id).stopped = true;
      return { status: 202, body: {} };
    }
    return undefined;
  }

  conversations(user) {
    const found = new Map();
    for (const turn of this.turns.values()) {
      if (turn.user !== user.id) continue;
      const before = found.get(turn.conversation_id);
      found.set(turn.conversation_id, {
        id: turn.conversation_id,
        title: before?.title ?? turn.text.slice(0, 40),
        updated_at: turn.started_at,
        ...(turn.ended ? {} : { running_turn: turn.turn_id }),
      });
    }
    return [...found.values()].reverse();
  }

  filesRoute([kind, name, part], query) {
    const info = {
      path: 'strategies/cross.py',
      bytes: 420,
      modified_ns: Date.now() * 1e6,
      last_commit: 'c0ffee1234abcdef',
    };
    if (kind === undefined)
      return {
        files:
          query.get('kind') === 'strategies'
            ? [{ name: 'cross', about: 'A moving average cross.', ...info }]
            : [],
      };
    if (name !== 'cross') throw new Refusal(404, 'NOT_FOUND', 'There is no such file.');
    if (part === 'history')
      return {
        commits: [
          {
            id: 'c0ffee1234abcdef',
            author: 'assistant',
            why: 'Slower averages',
            at_s: Math.floor(Date.now() / 1000),
          },
          {
            id: 'beefed9876fedcba',
            author: 'assistant',
            why: 'Write strategies/cross.py',
            at_s: Math.floor(Date.now() / 1000) - 3600,
          },
        ],
      };
    return query.get('commit') === 'beefed9876fedcba'
      ? { code: FILES.older, commit: 'beefed9876fedcba' }
      : { code: FILES.code, commit: 'c0ffee1234abcdef' };
  }

  runsRoute([id, part]) {
    if (id === undefined)
      return { backtests: this.runs.map(({ run, statistics }) => ({ ...run, statistics })) };
    const found = this.runs.find(({ run }) => run.id === id);
    if (found === undefined) throw new Refusal(404, 'NOT_FOUND', 'There is no such backtest.');
    if (part !== 'report.html') return found;
    const html = `<!doctype html><meta charset="utf-8"><style>body{font:15px system-ui;padding:24px}</style><h1>cross SIM:BTC/USDT</h1><p>hash <code>abc</code></p><script>parent.document.title='owned'</script>`;
    return { status: 200, type: 'text/html', body: html };
  }

  /** Records a notification for everybody and says so to whoever is there. */
  notify(users) {
    const notification = {
      number: this.notifications.length + 1,
      event_id: newId(),
      kind: 'backtest_finished',
      title: 'Backtest finished',
      text: 'strategy: cross\nmarket: SIM:BTC/USDT',
      created_at_ns: Date.now() * 1e6,
      read: false,
    };
    this.notifications.unshift(notification);
    for (const user of users)
      this.tell(user, { type: 'user_event', event: { type: 'notification', ...notification } });
  }

  notificationsRoute(method, { through }) {
    if (method === 'GET') return { notifications: this.notifications };
    for (const notification of this.notifications) notification.read ||= notification.number <= through;
    return null;
  }

  memoryRoute(method, [part], query, user) {
    const said = [...this.turns.values()].filter((turn) => turn.user === user.id);
    if (method === 'DELETE') {
      for (const turn of said) this.turns.delete(turn.turn_id);
      return { erased: said.length * 2 };
    }
    const messages = said.map((turn) => ({
      id: turn.turn_id,
      conversation: turn.conversation_id,
      role: 'user',
      content: turn.text,
      at_ns: Date.parse(turn.started_at) * 1e6,
    }));
    if (part === 'export')
      return {
        status: 200,
        type: 'application/jsonl',
        body: messages.map((message) => JSON.stringify(message)).join('\n'),
      };
    const words = (query.get('query') ?? '').toLowerCase();
    return { messages: messages.filter(({ content }) => content.toLowerCase().includes(words)).reverse() };
  }
}

/** Starts everything; `link()` makes a login token. */
export async function startServer({ port = 0, accessMs, ...market } = {}) {
  const accounts = new MockAccounts(accessMs === undefined ? {} : { accessMs });
  const chat = new MockChat(accounts);
  const answer = async (request, response) => {
    const url = new URL(request.url, 'http://mock');
    if (url.pathname.startsWith('/mock/')) return control(url, response);
    if (!url.pathname.startsWith('/api/v1/')) return false;
    const path = url.pathname.slice('/api/v1/'.length);
    try {
      const body = request.method === 'GET' ? {} : await readJson(request);
      let found = accounts.route(request.method, path, body, request, response);
      if (
        found === undefined &&
        /^(chat|prompts|container|files|backtests|memory|notifications)(\/|$)/.test(path)
      ) {
        const { user } = accounts.who(request);
        found = chat.route(request.method, path, url.searchParams, body, user);
      }
      if (found === undefined) return false;
      reply(response, found);
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      const status = error instanceof Refusal ? error.status : 500;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          error.body ?? { error: { code: 'INTERNAL', message: String(error), retryable: true } },
        ),
      );
    }
    return true;
  };

  const control = (url, response) => {
    switch (url.pathname) {
      case '/mock/cut':
        for (const socket of chat.sockets.keys()) socket.terminate();
        break;
      case '/mock/block':
        chat.blocked = true;
        break;
      case '/mock/allow':
        chat.blocked = false;
        break;
      case '/mock/expire':
        accounts.expireAll();
        break;
      case '/mock/refuse':
        chat.refuseNext = Number(url.searchParams.get('status') ?? 429);
        break;
      case '/mock/event':
        chat.notify(accounts.users.keys());
        break;
      default:
        return false;
    }
    reply(response, {});
    return true;
  };

  const upgrade = (request, socket, head, server) => {
    const url = new URL(request.url, 'http://mock');
    if (url.pathname !== '/ws/chat') return false;
    const held = chat.blocked ? undefined : accounts.redeem(url.searchParams.get('ticket'));
    if (held === undefined) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
      return true;
    }
    server.handleUpgrade(request, socket, head, (client) => chat.connect(client, held));
    return true;
  };

  const mock = await startMock({ port, ...market, extension: { answer, upgrade } });
  return {
    url: mock.url,
    link: (name) => accounts.link(name),
    accounts,
    chat,
    close: async () => {
      for (const turn of chat.turns.values()) turn.stopped = true;
      for (const socket of chat.sockets.keys()) socket.terminate();
      await mock.close();
    },
  };
}

function reply(response, found) {
  if (found === null) {
    response.writeHead(204).end();
    return;
  }
  const wrapped = typeof found.status === 'number' && 'body' in found;
  const type = wrapped && found.type !== undefined ? found.type : 'application/json';
  const body = wrapped ? found.body : found;
  response.writeHead(wrapped ? found.status : 200, { 'content-type': type });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '3000' },
      'access-seconds': { type: 'string', default: '900' },
    },
  });
  const server = await startServer({
    port: Number(values.port),
    accessMs: Number(values['access-seconds']) * 1000,
  });
  console.log(`mock server: ${server.url}`);
  console.log(`log in:      ${server.url}/login?link=${server.link()}`);
}
