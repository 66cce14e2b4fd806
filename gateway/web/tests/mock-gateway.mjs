// A stand-in for the gateway, for development and browser tests: REST and WebSocket of the contract over a made-up market.
//
//   node tests/mock-gateway.mjs [--port 3000] [--mode SIM] [--seed 7] [--venues SIM] [--trouble]
//
// Serves dist/ too. POST /mock/drop cuts all sockets, /mock/mute silences them, /mock/unmute ends that.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { computeIndicator } from './mock-indicators.mjs';
import { createMarket, INTERVALS } from './mock-market.mjs';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
/** As the gateway's. */
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
  "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; " +
  "form-action 'self'; frame-ancestors 'none'";
const QUOTE_EVERY_MS = 120;
const CANDLE_EVERY_MS = 100;
const TRADE_EVERY_MS = 40;
const WARM_UP = 300;

const nowSeconds = () => Date.now() / 1000;

class Refusal extends Error {
  constructor(status, code, field, message) {
    super(message);
    this.status = status;
    this.body = { error: { code, field, message, retryable: status >= 500 } };
  }
}

/** Starts the mock; `close()` ends it. An extension may answer requests and upgrades before the market does. */
export async function startMock({
  port = 0,
  mode = 'SIM',
  seed = 7,
  venues = ['SIM'],
  trouble = false,
  extension = undefined,
} = {}) {
  const market = createMarket({ seed, venues, trouble });
  const gateway = new MockGateway({ mode, venues, market });
  const server = createServer(async (request, response) => {
    if ((await extension?.answer(request, response)) !== true) await gateway.answer(request, response);
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (extension?.upgrade(request, socket, head, sockets) === true) return;
    sockets.handleUpgrade(request, socket, head, (client) => gateway.connect(client));
  });
  const stop = gateway.run();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: async () => {
      stop();
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class MockGateway {
  constructor({ mode, venues, market }) {
    this.mode = mode;
    this.venues = venues;
    this.market = market;
    this.clients = new Map();
    this.muted = false;
    this.ticks = 0;
    this.pendingLeft = 2;
    this.until = nowSeconds();
  }

  run() {
    const timers = [
      setInterval(() => this.sendTrades(), TRADE_EVERY_MS),
      setInterval(() => this.sendCandles(), CANDLE_EVERY_MS),
      setInterval(() => this.sendQuotes(), QUOTE_EVERY_MS),
      setInterval(() => this.sendAll({ type: 'health', data: this.health() }), 1000),
      setInterval(() => this.sendRevisions(), 5000),
    ];
    return () => timers.forEach(clearInterval);
  }

  // REST

  async answer(request, response) {
    const url = new URL(request.url, 'http://mock');
    try {
      if (url.pathname.startsWith('/mock')) this.control(url.pathname);
      const body = url.pathname.startsWith('/mock') ? { mock: true } : this.rest(url);
      if (body === undefined) await this.file(url.pathname, response);
      else this.json(response, 200, body);
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500;
      this.json(
        response,
        status,
        error.body ?? { error: { code: 'INTERNAL', message: String(error), retryable: true } },
      );
    }
  }

  json(response, status, body) {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  control(path) {
    if (path === '/mock/drop') for (const socket of this.clients.keys()) socket.terminate();
    if (path === '/mock/mute') this.muted = true;
    if (path === '/mock/unmute') this.muted = false;
  }

  rest({ pathname, searchParams: query }) {
    switch (pathname) {
      case '/api/v1/health':
        return this.health();
      case '/api/v1/venues':
        return {
          venues: this.venues.map((venue) => ({
            venue,
            mode: this.mode,
            state: 'live',
            symbols: this.of(venue).length,
            intervals: INTERVALS.map((interval) => `${interval}s`),
          })),
        };
      case '/api/v1/instruments':
        return { instruments: this.find(query) };
      case '/api/v1/candles':
        return this.candles(query);
      case '/api/v1/indicators':
        return this.indicators(query);
      default:
        if (pathname.startsWith('/api/')) throw new Refusal(404, 'NOT_FOUND', null, 'no such path');
        return undefined;
    }
  }

  of(venue) {
    return this.market.filter((instrument) => instrument.venue === venue);
  }

  health() {
    const now = new Date().toISOString();
    return {
      status: 'ok',
      mode: this.mode,
      version: '0.0.0-mock',
      server_time: now,
      problems: [],
      feeds: this.venues.map((venue) => ({
        venue,
        ingestor: `${venue.toLowerCase()}-1`,
        mode: this.mode,
        state: 'live',
        symbols: this.of(venue).length,
        ticks: this.ticks,
        quotes: this.ticks * 2,
        rejected: 0,
        reconnects: 0,
        gaps: 1,
        repaired_trades: 14,
        last_event_time: now,
        last_receive_time: now,
        age_ms: Math.round(30 + Math.random() * 300),
        detail: '',
      })),
    };
  }

  find(query) {
    const text = (query.get('q') ?? '').toUpperCase();
    const venue = query.get('venue');
    return this.market
      .filter((instrument) => (!venue || instrument.venue === venue) && instrument.symbol.includes(text))
      .slice(0, Number(query.get('limit') ?? 100))
      .map((instrument) => instrument.facts());
  }

  instrument(query) {
    const found = this.market.find((i) => i.venue === query.get('venue') && i.symbol === query.get('symbol'));
    if (!found) throw new Refusal(404, 'NOT_FOUND', 'symbol', 'no such instrument');
    if (found.symbol.startsWith('FAIL'))
      throw new Refusal(503, 'UNAVAILABLE', null, 'The lake cannot be read.');
    return found;
  }

  range(query) {
    const interval = Number.parseInt(query.get('interval'), 10);
    if (!INTERVALS.includes(interval))
      throw new Refusal(400, 'INVALID_FIELD', 'interval', 'not one of the seven');
    const limit = Number(query.get('limit') ?? 500);
    if (!(limit >= 1 && limit <= 5000)) throw new Refusal(400, 'INVALID_FIELD', 'limit', 'from 1 to 5000');
    const to = query.get('to');
    const end = to ? (/^\d+$/.test(to) ? Number(to) : Date.parse(to)) / 1000 : nowSeconds() + interval;
    return { interval, limit, end: Math.min(end, nowSeconds() + interval) };
  }

  rows(instrument, { interval, limit, end }) {
    const now = nowSeconds();
    const rows = [];
    let open = Math.ceil(end / interval) * interval - interval;
    for (; rows.length < limit && open > 1_400_000_000; open -= interval) {
      const row = instrument.candle(interval, open, now);
      if (row) rows.push(row);
    }
    return rows.reverse();
  }

  candles(query) {
    const instrument = this.instrument(query);
    const range = this.range(query);
    const head = {
      venue: instrument.venue,
      symbol: instrument.symbol,
      interval: `${range.interval}s`,
    };
    if (instrument.symbol.startsWith('SLOW') && this.pendingLeft > 0 && range.limit > 200) {
      this.pendingLeft -= 1;
      const candles = this.rows(instrument, { ...range, limit: 40 });
      return { ...head, candles, history: 'pending', next: candles[0]?.open_time ?? null };
    }
    const candles = this.rows(instrument, range);
    const next = candles.length < range.limit ? null : candles[0].open_time;
    return { ...head, candles, history: 'complete', next };
  }

  indicators(query) {
    const range = this.range(query);
    const rows = this.rows(this.instrument(query), { ...range, limit: range.limit + WARM_UP });
    const numbers = rows.map((row) => ({
      high: +row.high,
      low: +row.low,
      close: +row.close,
      volume: +row.volume,
    }));
    const params = (query.get('params') ?? '').split(',').filter(Boolean).map(Number);
    const computed = computeIndicator(query.get('indicator'), params, numbers);
    if (!computed) throw new Refusal(400, 'INVALID_FIELD', 'indicator', 'no such indicator');
    const points = (values) =>
      values.map((value, i) => ({ open_time: rows[i].open_time, value })).slice(-range.limit);
    const outputs = Object.entries(computed).map(([name, values]) => [name, points(values)]);
    return { indicator: query.get('indicator'), params, outputs: Object.fromEntries(outputs) };
  }

  async file(path, response) {
    const wanted = normalize(join(DIST, path === '/' ? 'index.html' : path));
    const name = wanted.startsWith(DIST) ? wanted : join(DIST, 'index.html');
    const body = await readFile(name).catch(() => readFile(join(DIST, 'index.html')));
    const type = TYPES[extname(name)] ?? 'text/html';
    response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(body);
  }

  // WebSocket

  connect(socket) {
    this.clients.set(socket, new Set());
    socket.on('close', () => this.clients.delete(socket));
    socket.on('message', (data) => this.receive(socket, String(data)));
    this.send(socket, { type: 'health', data: this.health() });
  }

  receive(socket, data) {
    const { op, id, topics = [] } = JSON.parse(data);
    const held = this.clients.get(socket);
    if (op === 'ping') this.send(socket, { type: 'pong', id });
    if (op === 'unsubscribe') {
      for (const topic of topics) held.delete(topic);
      this.send(socket, { type: 'unsubscribed', id, topics });
    }
    if (op !== 'subscribe') return;
    const bad = topics.findIndex((topic) => this.parse(topic) === undefined);
    if (bad !== -1) {
      const error = {
        code: 'INVALID_FIELD',
        field: `topics[${bad}]`,
        message: `not served: ${topics[bad]}`,
        retryable: false,
      };
      this.send(socket, { type: 'error', id, error });
      return;
    }
    for (const topic of topics) held.add(topic);
    this.send(socket, { type: 'subscribed', id, topics });
    for (const topic of topics) this.sendLast(socket, topic);
  }

  parse(topic) {
    const [id, kind] = topic.split('|');
    const instrument = this.market.find(({ venue, symbol }) => `${venue}:${symbol}` === id);
    if (!instrument || !/^(tick|quote|ohlc:\d+s)$/.test(kind ?? '')) return undefined;
    return { instrument, kind, interval: Number.parseInt(kind.split(':')[1], 10) };
  }

  sendLast(socket, topic) {
    const { instrument, kind, interval } = this.parse(topic);
    const now = nowSeconds();
    if (kind === 'quote') this.send(socket, { type: 'quote', topic, data: instrument.quote(now) });
    if (kind === 'tick') {
      for (let second = Math.floor(now); second > now - 20; second -= 1) {
        const trade = instrument.trades(second).findLast(({ time }) => time <= now);
        if (trade) {
          this.send(socket, { type: 'tick', topic, data: instrument.tickMessage(trade) });
          return;
        }
      }
    }
    if (interval > 0) this.sendCandle(topic, instrument, interval, now);
  }

  send(socket, message) {
    if (!this.muted && socket.readyState === 1) socket.send(JSON.stringify(message));
  }

  sendAll(message, topic) {
    for (const [socket, held] of this.clients)
      if (topic === undefined || held.has(topic)) this.send(socket, message);
  }

  wanted() {
    return new Set([...this.clients.values()].flatMap((held) => [...held]));
  }

  /** Each trade once, some twice and some late, as real feeds do. */
  sendTrades() {
    const from = this.until;
    const now = nowSeconds();
    this.until = now;
    for (const topic of this.wanted()) {
      const { instrument, kind } = this.parse(topic);
      if (kind !== 'tick') continue;
      for (let second = Math.floor(from); second <= now; second += 1) {
        for (const trade of instrument.trades(second)) {
          if (trade.time <= from || trade.time > now) continue;
          this.ticks += 1;
          const message = { type: 'tick', topic, data: instrument.tickMessage(trade) };
          const late = trade.id % 29 === 0;
          if (late) setTimeout(() => this.sendAll(message, topic), 700);
          else this.sendAll(message, topic);
          if (trade.id % 41 === 0) this.sendAll(message, topic);
        }
      }
    }
  }

  sendCandles() {
    const now = nowSeconds();
    for (const topic of this.wanted()) {
      const { instrument, interval } = this.parse(topic);
      if (!(interval > 0)) continue;
      const open = Math.floor(now / interval) * interval;
      // The candle before is closed shortly after its end.
      if (now - open < 0.25)
        this.sendCandle(topic, instrument, interval, open - 0.001 + 0.002, open - interval);
      this.sendCandle(topic, instrument, interval, now);
    }
  }

  sendCandle(topic, instrument, interval, now, open = Math.floor(now / interval) * interval) {
    const data = instrument.candle(interval, open, now);
    if (data) this.sendAll({ type: 'candle', topic, data }, topic);
  }

  /** A late trade changes a closed candle now and then. */
  sendRevisions() {
    const now = nowSeconds();
    for (const topic of this.wanted()) {
      const { instrument, interval } = this.parse(topic);
      if (!(interval > 0)) continue;
      const row = instrument.candle(interval, (Math.floor(now / interval) - 3) * interval, now);
      if (!row) continue;
      Object.assign(row, { revision: row.revision + 1, repaired: true, trades: row.trades + 1 });
      this.sendAll({ type: 'candle', topic, data: row }, topic);
    }
  }

  sendQuotes() {
    for (const topic of this.wanted()) {
      const { instrument, kind } = this.parse(topic);
      if (kind === 'quote')
        this.sendAll({ type: 'quote', topic, data: instrument.quote(nowSeconds()) }, topic);
    }
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '3000' },
      mode: { type: 'string', default: 'SIM' },
      seed: { type: 'string', default: '7' },
      venues: { type: 'string', default: 'SIM' },
      trouble: { type: 'boolean', default: false },
    },
  });
  const { mode, trouble } = values;
  const mock = await startMock({
    port: Number(values.port),
    mode,
    seed: Number(values.seed),
    venues: values.venues.split(','),
    trouble,
  });
  console.log(`mock gateway: ${mock.url}`);
}
