// Talking to the gateway: addresses, answers checked, failures as typed errors with advice.
import { describe, expect, test, vi } from 'vitest';
import type { ApiError } from '../../src/api/api-error';
import { createFetchCandles, decodeCandlePage } from '../../src/api/candles';
import { createGet } from '../../src/api/client';
import { decodeHealth } from '../../src/api/health';
import { createFetchIndicator, decodeIndicator } from '../../src/api/indicators';
import { decodeInstruments } from '../../src/api/instruments';
import { BTC, health } from './builders';

const row = (openTime: string, change: object = {}) => ({
  open_time: openTime,
  open: '1',
  high: '2',
  low: '0.5',
  close: '1.5',
  volume: '10',
  quote_volume: '15',
  trades: 3,
  revision: 0,
  closed: true,
  repaired: false,
  ...change,
});

const answer = (body: unknown, status = 200) =>
  vi.fn(async () => new Response(JSON.stringify(body), { status }));

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: ApiError) => error,
  );
}

describe('candles', () => {
  test('are asked for as the contract says', async () => {
    const fetchImpl = answer({ candles: [], history: 'complete' });
    const fetchCandles = createFetchCandles(createGet('http://gw', fetchImpl as typeof fetch));
    await fetchCandles({ instrument: BTC, interval: '60s', before: 1_700_000_000, limit: 100 });
    const [url] = fetchImpl.mock.calls[0] as unknown as [string];
    const parsed = new URL(url);
    expect(parsed.pathname).toBe('/api/v1/candles');
    expect(Object.fromEntries(parsed.searchParams)).toEqual({
      venue: 'SIM',
      symbol: 'BTC/USDT',
      interval: '60s',
      to: '1700000000000',
      limit: '100',
    });
  });

  test('become numbers, with open times in seconds', () => {
    const page = decodeCandlePage({ candles: [row('1970-01-01T00:01:00Z')], history: 'pending' });
    expect(page).toMatchObject({ history: 'pending', older: undefined });
    expect(page.candles[0]).toMatchObject({ time: 60, open: 1, high: 2, low: 0.5, close: 1.5, volume: 10 });
  });

  test('say where the next older page is', () => {
    const body = {
      candles: [row('1970-01-01T00:01:00Z')],
      history: 'complete',
      next: '1970-01-01T00:01:00Z',
    };
    expect(decodeCandlePage(body).older).toBe(60);
  });

  test.each([
    [
      'out of order',
      { candles: [row('1970-01-01T00:02:00Z'), row('1970-01-01T00:01:00Z')], history: 'complete' },
    ],
    [
      'twice the same',
      { candles: [row('1970-01-01T00:02:00Z'), row('1970-01-01T00:02:00Z')], history: 'complete' },
    ],
    [
      'a price that is no decimal',
      { candles: [row('1970-01-01T00:02:00Z', { close: '' })], history: 'complete' },
    ],
    ['a price as a number', { candles: [row('1970-01-01T00:02:00Z', { close: 1.5 })], history: 'complete' }],
    ['an unknown state', { candles: [], history: 'maybe' }],
    ['no list', { history: 'complete' }],
  ])('%s are refused', (_, body) => {
    expect(() => decodeCandlePage(body)).toThrow(/expected/);
  });
});

describe('failures', () => {
  const get = (fetchImpl: unknown) => createGet('', fetchImpl as typeof fetch);

  test('carry the words and the code of the gateway', async () => {
    const error = {
      code: 'INVALID_FIELD',
      field: 'interval',
      message: 'not one of the seven',
      retryable: false,
    };
    const failure = await failureOf(get(answer({ error }, 400))('candles', {}, (body) => body));
    expect(failure).toMatchObject({ kind: 'refused', status: 400, code: 'INVALID_FIELD', retryable: false });
    expect(failure.message).toBe('not one of the seven');
    expect(failure.advice).toMatch(/Choose another/);
  });

  test('without a readable body keep their status', async () => {
    const failure = await failureOf(
      get(vi.fn(async () => new Response('oops', { status: 502 })))('x', {}, (body) => body),
    );
    expect(failure).toMatchObject({ kind: 'broken', status: 502, retryable: true });
  });

  test('of the network say how to start the platform', async () => {
    const failure = await failureOf(
      get(vi.fn(() => Promise.reject(new TypeError('refused'))))('x', {}, (body) => body),
    );
    expect(failure).toMatchObject({ kind: 'unreachable', retryable: true });
    expect(failure.advice).toMatch(/platform is running/);
  });

  test('to answer in time end the wait', async () => {
    const never = vi.fn(
      (_: string, { signal }: RequestInit) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    );
    const failure = await failureOf(get(never)('x', {}, (body) => body, { timeoutMs: 5 }));
    expect(failure).toMatchObject({ kind: 'timeout', retryable: true });
  });

  test('to understand the answer name the field', async () => {
    const failure = await failureOf(
      get(answer({ candles: [{}], history: 'complete' }))('x', {}, decodeCandlePage),
    );
    expect(failure).toMatchObject({ kind: 'malformed', retryable: false });
    expect(failure.message).toContain('candles[0].open_time');
  });

  test('are no failures when the page itself has lost interest', async () => {
    const abort = new AbortController();
    const waiting = vi.fn(
      (_: string, { signal }: RequestInit) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    );
    const promise = get(waiting)('x', {}, (body) => body, { signal: abort.signal });
    abort.abort();
    await expect(promise).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('other answers', () => {
  test('indicators have outputs by name; what is not known yet is absent', () => {
    const points = [
      { open_time: '1970-01-01T00:01:00Z', value: null },
      { open_time: '1970-01-01T00:02:00Z', value: '1.25' },
      { open_time: '1970-01-01T00:03:00Z', value: 2 },
    ];
    expect(decodeIndicator({ indicator: 'sma', params: [2], outputs: { sma: points } })).toEqual({
      sma: [
        { time: 60, value: undefined },
        { time: 120, value: 1.25 },
        { time: 180, value: 2 },
      ],
    });
  });

  test('indicators are asked for with their parameters in order', async () => {
    const fetchImpl = answer({ outputs: {} });
    const query = {
      instrument: BTC,
      interval: '1s',
      indicator: 'macd',
      params: [12, 26, 9],
      limit: 10,
    } as const;
    await createFetchIndicator(createGet('http://gw', fetchImpl as typeof fetch))(query);
    const [url] = fetchImpl.mock.calls[0] as unknown as [string];
    expect(new URL(url).searchParams.get('params')).toBe('12,26,9');
  });

  test('instruments get an id', () => {
    const body = {
      instruments: [
        {
          venue: 'SIM',
          symbol: 'BTC/USDT',
          venue_symbol: 'BTCUSDT',
          base: 'BTC',
          quote: 'USDT',
          kind: 'spot',
          status: 'trading',
          tick_size: '0.01',
          lot_size: '0.001',
          min_notional: '5',
          live: true,
        },
      ],
    };
    expect(decodeInstruments(body)[0]).toMatchObject({ id: BTC, tickSize: '0.01', live: true });
  });

  test('instruments of a venue that does not say its steps have none', () => {
    const body = {
      instruments: [
        {
          venue: 'OKX',
          symbol: 'A/B',
          kind: 'spot',
          status: 'trading',
          tick_size: null,
          lot_size: null,
          live: false,
        },
      ],
    };
    expect(decodeInstruments(body)[0]).toMatchObject({ tickSize: undefined, lotSize: undefined });
  });

  test('health may have feeds that have seen nothing yet', () => {
    const feed = {
      venue: 'SIM',
      ingestor: 'sim-1',
      mode: 'SIM',
      state: 'connecting',
      symbols: 0,
      ticks: 0,
      quotes: 0,
      rejected: 0,
      reconnects: 0,
      gaps: 0,
      repaired_trades: 0,
      last_event_time: null,
      last_receive_time: null,
      age_ms: null,
      detail: null,
    };
    expect(decodeHealth(health({ feeds: [feed] })).feeds[0]).toMatchObject({ ageMs: undefined, detail: '' });
  });
});
