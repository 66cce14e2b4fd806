// What the page tells about feeds and about the chart.
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import type { Feed } from '../../src/api/health';
import { type NoticeFacts, noticesFor } from '../../src/chart/notices';
import { byVenue } from '../../src/health/health-state';
import { summarize } from '../../src/watchlist/day-stats';
import { sparkPath } from '../../src/watchlist/spark-path';
import { BTC, candle, instrument } from './builders';

const feed = (change: Partial<Feed>): Feed => ({
  venue: 'SIM',
  ingestor: 'sim-1',
  mode: 'SIM',
  state: 'live',
  symbols: 1,
  ticks: 1,
  quotes: 1,
  rejected: 0,
  reconnects: 0,
  gaps: 0,
  repairedTrades: 0,
  ageMs: 200,
  lastEventTime: 0,
  detail: '',
  ...change,
});

const snapshot = (...feeds: Feed[]) => ({
  health: { status: 'ok', mode: 'SIM', version: '1', problems: [], feeds } as const,
  receivedAt: 1000,
});

describe('feeds by venue', () => {
  test('a venue is as healthy as its best feed', () => {
    const venues = byVenue(
      snapshot(feed({ state: 'down', ageMs: 60_000 }), feed({ ingestor: 'sim-2' })),
      1000,
    );
    expect(venues).toMatchObject([{ venue: 'SIM', state: 'live', ageMs: 200 }]);
    expect(venues[0]?.feeds).toHaveLength(2);
  });

  test('ages go on growing while nothing arrives', () => {
    expect(byVenue(snapshot(feed({})), 6000)[0]?.ageMs).toBe(5200);
  });

  test('a feed without a tick has no age', () => {
    expect(byVenue(snapshot(feed({ ageMs: undefined, state: 'connecting' })), 6000)[0]).toMatchObject({
      state: 'connecting',
      ageMs: undefined,
    });
  });
});

const calm: NoticeFacts = {
  instrument: BTC,
  session: {
    phase: 'ready',
    error: undefined,
    history: 'complete',
    olderHistory: 'complete',
    loadingOlder: false,
    retryAt: undefined,
    liveRefused: undefined,
    full: false,
  },
  connection: { status: 'open' },
  health: snapshot().health,
  venue: byVenue(snapshot(feed({})), 1000)[0],
  facts: instrument(BTC),
  now: 10_000,
};

const idsOf = (change: Partial<NoticeFacts>) => noticesFor({ ...calm, ...change }).map(({ id }) => id);
const session = (change: Partial<NoticeFacts['session']>) => ({ session: { ...calm.session, ...change } });

describe('notices over the chart', () => {
  test('there are none when all is well', () => {
    expect(idsOf({})).toEqual([]);
  });

  test('a short break of the connection is not worth a word, a long one is', () => {
    const lost = (since: number) => ({ connection: { status: 'waiting', retryAt: 11_000, since } as const });
    expect(idsOf(lost(9000))).toEqual([]);
    expect(idsOf(lost(5000))).toEqual(['connection']);
  });

  test('pending history says when it is asked for again', () => {
    const [notice] = noticesFor({ ...calm, ...session({ olderHistory: 'pending', retryAt: 12_100 }) });
    expect(notice).toMatchObject({ id: 'pending', action: 'retry' });
    expect(notice?.text).toMatch(/Next try in 3 s\.$/);
  });

  test('a failed refresh says what to do', () => {
    const [notice] = noticesFor({ ...calm, ...session({ error: new ApiError('timeout', 'Late.') }) });
    expect(notice).toMatchObject({ id: 'error', tone: 'warning', title: 'Late.', action: 'retry' });
  });

  test('a silent venue, an unknown symbol and a halted one are told', () => {
    const stale = byVenue(snapshot(feed({ state: 'stale', ageMs: 12_000 })), 1000)[0];
    expect(noticesFor({ ...calm, venue: stale })[0]).toMatchObject({ id: 'venue', title: 'SIM is silent' });
    expect(idsOf({ facts: 'absent' })).toEqual(['instrument']);
    expect(idsOf({ facts: instrument(BTC, { status: 'halted' }) })).toEqual(['instrument']);
    expect(idsOf(session({ liveRefused: 'no' }))).toEqual(['live']);
    expect(idsOf(session({ history: 'unavailable' }))).toEqual(['unavailable']);
    expect(idsOf(session({ full: true }))).toEqual(['full']);
  });

  test('what the platform lacks is told, unless the feed of the venue tells it already', () => {
    const health = {
      ...snapshot().health,
      status: 'down',
      problems: ['no connection to the relay'],
    } as const;
    expect(noticesFor({ ...calm, health })[0]).toMatchObject({ id: 'platform' });
    expect(noticesFor({ ...calm, health })[0]?.text).toMatch(/^No connection to the relay\. /);
    const down = byVenue(snapshot(feed({ state: 'down' })), 1000)[0];
    expect(idsOf({ health, venue: down })).toEqual(['venue']);
  });

  test('what is said in place of the chart is not said twice', () => {
    expect(
      idsOf({ ...session({ phase: 'failed', error: new ApiError('refused', 'no') }), facts: 'absent' }),
    ).toEqual([]);
  });
});

describe('the last 24 hours', () => {
  test('are measured from the first candle within them', () => {
    const now = 200_000;
    const stats = summarize(
      [
        candle(now - 90_000, { open: 1, high: 999 }),
        candle(now - 80_000, { open: 50, high: 120, low: 40, volume: 2 }),
        candle(now - 900, { close: 75, high: 100, low: 45, volume: 3 }),
      ],
      now,
    );
    expect(stats).toMatchObject({ open: 50, since: now - 80_000, high: 120, low: 40, volume: 5, close: 75 });
  });

  test('of a replayed market end with its own newest candle', () => {
    const stats = summarize([candle(1000, { open: 7 }), candle(1900)], 1_700_000_000);
    expect(stats).toMatchObject({ open: 7, since: 1000 });
  });

  test('are unknown without candles', () => {
    expect(summarize([], 0)).toBeUndefined();
  });

  test('are drawn within their box, also when nothing moved', () => {
    expect(sparkPath([1, 3, 2], 64, 24)).toBe('M0.0 22.0L32.0 2.0L64.0 12.0');
    expect(sparkPath([5, 5], 64, 24)).toBe('M0.0 12.0L64.0 12.0');
    expect(sparkPath([5], 64, 24)).toBe('');
  });
});
