// Loading a series: first page, paging, pending history, failures, and healing after a break.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import type { CandlePage, CandleQuery } from '../../src/api/candles';
import type { TopicListener } from '../../src/live/hub';
import { FIRST_PAGE } from '../../src/series/page-size';
import { SeriesCache } from '../../src/series/series-cache';
import { SeriesSession } from '../../src/series/series-session';
import { BTC, candle, deferred, minutes, page, settle, times } from './builders';

interface Asked {
  readonly query: CandleQuery;
  readonly signal: AbortSignal;
  answer(page: CandlePage): Promise<void>;
  fail(error: unknown): Promise<void>;
}

const NOW_MINUTES = 10_000;

function open() {
  const asked: Asked[] = [];
  let live: TopicListener | undefined;
  const left = vi.fn();
  const entry = new SeriesCache().open(BTC, '60s');
  const session = new SeriesSession(entry, {
    fetchCandles: (query, signal) => {
      const { promise, resolve, reject } = deferred<CandlePage>();
      asked.push({
        query,
        signal: signal as AbortSignal,
        answer: (result) => {
          resolve(result);
          return settle();
        },
        fail: (error) => {
          reject(error);
          return settle();
        },
      });
      return promise;
    },
    watchCandles: (_, listener) => {
      live = listener;
      return left;
    },
    now: () => Date.now(),
  });
  return {
    entry,
    session,
    asked,
    left,
    last: () => asked.at(-1) as Asked,
    live: (time: number) =>
      live?.message({ type: 'candle', topic: '', candle: candle(time, { closed: false }) }),
    subscribed: () => live?.subscribed?.(),
    lagged: () => live?.message({ type: 'lagged', topic: '', dropped: 3 }),
    refused: () => live?.refused?.('not served'),
  };
}

/** A session whose first page (600 candles up to now) is there. */
async function loaded() {
  const it = open();
  it.session.start();
  await it.last().answer(page(minutes(NOW_MINUTES - 599, 600)));
  return it;
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MINUTES * 60_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the first page', () => {
  test('is asked for at once and makes the series ready', async () => {
    const it = open();
    it.session.start();
    expect(it.session.state.get().phase).toBe('loading');
    expect(it.last().query).toMatchObject({
      instrument: BTC,
      interval: '60s',
      limit: FIRST_PAGE,
      before: undefined,
    });
    await it.last().answer(page(minutes(0, 600)));
    expect(it.session.state.get()).toMatchObject({ phase: 'ready', history: 'complete', error: undefined });
    expect(it.entry.series.candles).toHaveLength(600);
  });

  test('is asked again when the subscription is confirmed later, so that nothing is missed in between', async () => {
    const it = open();
    it.session.start();
    it.subscribed();
    expect(it.asked).toHaveLength(1);
    await it.last().answer(page(minutes(NOW_MINUTES - 599, 600)));
    expect(it.asked).toHaveLength(2);
    expect(it.last().query.limit).toBeLessThan(10);
  });

  test('is dropped when the user has moved on', async () => {
    const it = open();
    it.session.start();
    it.session.stop();
    expect(it.last().signal.aborted).toBe(true);
    await it.last().answer(page(minutes(0, 3)));
    expect(it.entry.series.candles).toHaveLength(0);
    expect(it.left).toHaveBeenCalled();
  });

  test('that cannot be loaded shows the error and is tried again', async () => {
    const it = open();
    it.session.start();
    await it.last().fail(new ApiError('unreachable', 'gone'));
    expect(it.session.state.get()).toMatchObject({ phase: 'failed', retryAt: Date.now() + 1000 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(it.asked).toHaveLength(2);
    await it.last().answer(page(minutes(0, 3)));
    expect(it.session.state.get()).toMatchObject({ phase: 'ready', error: undefined, retryAt: undefined });
  });

  test('that is refused for good is not tried again by itself', async () => {
    const it = open();
    it.session.start();
    await it.last().fail(new ApiError('refused', 'no such symbol', { status: 404 }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(it.asked).toHaveLength(1);
    it.session.retry();
    expect(it.asked).toHaveLength(2);
  });
});

describe('pending history', () => {
  test('is shown, asked again with growing pauses, and the whole page is asked for', async () => {
    const it = open();
    it.session.start();
    await it.last().answer(page(minutes(NOW_MINUTES - 10, 10), 'pending'));
    expect(it.session.state.get()).toMatchObject({
      phase: 'ready',
      history: 'pending',
      retryAt: Date.now() + 1000,
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(it.last().query.limit).toBe(FIRST_PAGE);
    await it.last().answer(page([], 'pending'));
    expect(it.session.state.get().retryAt).toBe(Date.now() + 2000);
    await vi.advanceTimersByTimeAsync(2000);
    await it.last().answer(page(minutes(NOW_MINUTES - 599, 600)));
    expect(it.session.state.get().history).toBe('complete');
    expect(it.entry.series.candles).toHaveLength(600);
  });

  test('can be asked for at once by the user', async () => {
    const it = open();
    it.session.start();
    await it.last().answer(page([], 'pending'));
    it.session.retry();
    expect(it.asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(it.asked).toHaveLength(2);
  });

  test('of an older page leaves no hole: the same page is asked for again', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    const before = it.last().query.before;
    await it.last().answer(page(minutes(NOW_MINUTES - 1599, 20), 'pending'));
    expect(it.session.state.get().olderHistory).toBe('pending');
    await vi.advanceTimersByTimeAsync(1000);
    expect(it.last().query.before).toBe(before);
  });
});

describe('older pages', () => {
  test('are asked for before the oldest candle, one at a time', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    it.session.loadOlder(100);
    expect(it.asked).toHaveLength(2);
    expect(it.last().query).toMatchObject({ before: (NOW_MINUTES - 599) * 60, limit: 1000 });
    expect(it.session.state.get().loadingOlder).toBe(true);
    await it.last().answer(page(minutes(NOW_MINUTES - 1599, 1000)));
    expect(it.entry.series.candles).toHaveLength(1600);
    expect(it.session.state.get().loadingOlder).toBe(false);
    it.session.loadOlder(2000);
    expect(it.last().query).toMatchObject({ before: (NOW_MINUTES - 1599) * 60, limit: 5000 });
  });

  test('end where the venue has nothing older', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    await it.last().answer(page([]));
    it.session.loadOlder(100);
    expect(it.asked).toHaveLength(2);
    expect(it.entry.reachedStart).toBe(true);
  });

  test('go on after a page that is not full: intervals without a trade have no candle', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    await it.last().answer(page(minutes(NOW_MINUTES - 1599, 7)));
    it.session.loadOlder(100);
    expect(it.last().query.before).toBe((NOW_MINUTES - 1599) * 60);
  });

  test('go on behind an empty page when the gateway says where', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    await it.last().answer(page([], 'complete', 6000));
    it.session.loadOlder(100);
    expect(it.last().query.before).toBe(6000);
  });

  test('that are refused are not asked for again on every move of the chart', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    await it.last().fail(new ApiError('refused', 'no', { status: 400 }));
    it.session.loadOlder(100);
    expect(it.asked).toHaveLength(2);
    expect(it.session.state.get()).toMatchObject({ phase: 'ready', loadingOlder: false });
  });
});

describe('after a break', () => {
  test('the tail since the last sure candle is fetched again', async () => {
    const it = await loaded();
    it.subscribed();
    await it.last().answer(page(minutes(NOW_MINUTES - 4, 5)));
    vi.setSystemTime((NOW_MINUTES + 30) * 60_000);
    it.subscribed();
    expect(it.last().query.limit).toBe(35);
    await it.last().answer(page(minutes(NOW_MINUTES - 4, 35)));
    expect(times(it.entry.series.candles)).toEqual(times(minutes(NOW_MINUTES - 599, 630)));
  });

  test('candles that came live before the break are not fetched again', async () => {
    const it = await loaded();
    for (let i = 1; i <= 20; i += 1) it.live((NOW_MINUTES + i) * 60);
    vi.setSystemTime((NOW_MINUTES + 22) * 60_000);
    it.subscribed();
    expect(it.last().query.limit).toBe(7);
  });

  test('a live candle that arrives before the tail does not hide the hole', async () => {
    const it = await loaded();
    vi.setSystemTime((NOW_MINUTES + 30) * 60_000);
    it.subscribed();
    it.live((NOW_MINUTES + 30) * 60);
    await it.last().fail(new ApiError('timeout', 'late'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(it.last().query.limit).toBeGreaterThanOrEqual(35);
  });

  test('longer than a page the series starts afresh instead of showing a hole', async () => {
    const it = await loaded();
    vi.setSystemTime((NOW_MINUTES + 9000) * 60_000);
    it.subscribed();
    await it.last().answer(page(minutes(NOW_MINUTES + 8401, 600)));
    expect(times(it.entry.series.candles)).toEqual(times(minutes(NOW_MINUTES + 8401, 600)));
  });

  test('a market that stood still meanwhile keeps all its candles', async () => {
    const it = await loaded();
    it.session.loadOlder(100);
    await it.last().answer(page(minutes(NOW_MINUTES - 1599, 1000)));
    vi.setSystemTime((NOW_MINUTES + 9000) * 60_000);
    it.subscribed();
    await it.last().answer(page(minutes(NOW_MINUTES - 599, 600)));
    expect(it.entry.series.candles).toHaveLength(1600);
  });

  test('messages that the gateway left out are fetched', async () => {
    const it = await loaded();
    it.lagged();
    expect(it.asked).toHaveLength(2);
  });

  test('a refused subscription is reported', async () => {
    const it = await loaded();
    it.refused();
    expect(it.session.state.get().liveRefused).toBe('not served');
  });
});
