// The stores behind the page: who hears what, when requests go out, and that each is bounded.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CandlePage } from '../../src/api/candles';
import { CurrentSession } from '../../src/app/current-session';
import { HealthState } from '../../src/health/health-state';
import type { ChosenIndicator } from '../../src/indicators/catalog';
import { IndicatorBook } from '../../src/indicators/indicator-book';
import type { InstrumentId } from '../../src/market/instrument';
import type { Interval } from '../../src/market/interval';
import { Prefetch } from '../../src/series/prefetch';
import { SeriesCache, type SeriesEntry } from '../../src/series/series-cache';
import type { SeriesSession } from '../../src/series/series-session';
import { FrameBatch } from '../../src/state/frame-batch';
import { KeyedStore, Store } from '../../src/state/store';
import { ThemeState } from '../../src/theme/theme';
import { DayStatsFeed } from '../../src/watchlist/day-stats';
import { Instruments } from '../../src/watchlist/instruments';
import { BTC, deferred, instrument, MapStorage, minutes, page, settle } from './builders';

const ETH: InstrumentId = 'SIM:ETH/USDT';

beforeEach(() => {
  vi.useFakeTimers({ now: 600 * 60_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

test('a store tells its listeners of changes only', () => {
  const store = new Store(1);
  const heard = vi.fn();
  const leave = store.subscribe(heard);
  store.set(1);
  store.set(2);
  leave();
  store.set(3);
  expect(heard).toHaveBeenCalledTimes(1);
});

test('a keyed store tells only those who listen to that key', () => {
  const store = new KeyedStore<string, number>();
  const a = vi.fn();
  const b = vi.fn();
  const leave = store.subscribe('a', a);
  store.subscribe('b', b);
  store.set('a', 1);
  store.set('a', 1);
  store.delete('a');
  leave();
  store.set('a', 2);
  expect(a).toHaveBeenCalledTimes(2);
  expect(b).not.toHaveBeenCalled();
});

test('a frame runs each task once, and tasks added meanwhile in the next frame', () => {
  const frames: (() => void)[] = [];
  const batch = new FrameBatch((run) => frames.push(run));
  const inner = vi.fn();
  const outer = vi.fn(() => batch.add(inner));
  batch.add(outer);
  batch.add(outer);
  expect(frames).toHaveLength(1);
  frames[0]?.();
  expect(outer).toHaveBeenCalledTimes(1);
  expect(inner).not.toHaveBeenCalled();
  frames[1]?.();
  expect(inner).toHaveBeenCalledTimes(1);
});

describe('the last 24 hours', () => {
  test('are asked for at most three instruments at a time', async () => {
    const answers: ((page: CandlePage) => void)[] = [];
    const feed = new DayStatsFeed(() => new Promise((resolve) => answers.push(resolve)));
    for (let i = 0; i < 8; i += 1) feed.follow(`SIM:A${i}/USDT`);
    expect(answers).toHaveLength(3);
    answers[0]?.(page(minutes(590, 10)));
    await settle();
    expect(answers).toHaveLength(4);
  });

  test('are renewed while somebody looks, soon after a failure, and not after that', async () => {
    const fetchCandles = vi.fn(() => Promise.reject(new Error('gone')));
    const feed = new DayStatsFeed(fetchCandles);
    const leave = feed.follow(BTC);
    await settle();
    await vi.advanceTimersByTimeAsync(4000);
    expect(fetchCandles).toHaveBeenCalledTimes(2);
    leave();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(fetchCandles).toHaveBeenCalledTimes(2);
  });
});

describe('instrument facts', () => {
  test('are asked for once and tell when the platform does not know the symbol', async () => {
    const fetchInstruments = vi.fn(async () => [instrument(BTC)]);
    const instruments = new Instruments(fetchInstruments);
    instruments.need(BTC);
    instruments.need(BTC);
    instruments.need(ETH);
    await settle();
    instruments.need(BTC);
    expect(fetchInstruments).toHaveBeenCalledTimes(2);
    expect(instruments.facts.get(BTC)).toMatchObject({ tickSize: '0.01' });
    expect(instruments.facts.get(ETH)).toBe('absent');
  });

  test('are asked for again after a failure', async () => {
    const fetchInstruments = vi
      .fn()
      .mockRejectedValueOnce(new Error('gone'))
      .mockResolvedValue([instrument(BTC)]);
    const instruments = new Instruments(fetchInstruments);
    instruments.need(BTC);
    await settle();
    expect(instruments.facts.get(BTC)).toBeUndefined();
    await vi.advanceTimersByTimeAsync(5000);
    expect(instruments.facts.get(BTC)).toMatchObject({ id: BTC });
  });
});

describe('a prefetch', () => {
  test('fills the cache once and leaves pending history to the chart', async () => {
    const cache = new SeriesCache();
    const fetchCandles = vi.fn(async ({ instrument: id }: { instrument: InstrumentId }) =>
      page(minutes(0, 10), id === ETH ? 'pending' : 'complete'),
    );
    const prefetch = new Prefetch(cache, fetchCandles);
    prefetch.hint(BTC, '60s');
    prefetch.hint(BTC, '60s');
    prefetch.hint(ETH, '60s');
    await settle();
    prefetch.hint(BTC, '60s');
    expect(fetchCandles).toHaveBeenCalledTimes(2);
    expect(cache.peek(BTC, '60s')).toMatchObject({ loaded: true, solidFrom: 0, solidUntil: 540 });
    expect(cache.peek(ETH, '60s')?.loaded ?? false).toBe(false);
  });

  test('never has more than two requests under way', () => {
    const fetchCandles = vi.fn(() => new Promise<CandlePage>(() => undefined));
    const prefetch = new Prefetch(new SeriesCache(), fetchCandles);
    for (let i = 0; i < 9; i += 1) prefetch.hint(`SIM:A${i}/USDT`, '60s');
    expect(fetchCandles).toHaveBeenCalledTimes(2);
  });
});

test('a change of symbol or interval ends the session before and starts the next at once', () => {
  const view = {
    symbol: new Store<InstrumentId | undefined>(undefined),
    interval: new Store<Interval>('60s'),
  };
  const log: string[] = [];
  const current = new CurrentSession(view, new SeriesCache(), (entry) => {
    const name = `${entry.instrument} ${entry.interval}`;
    return {
      entry,
      start: () => log.push(`start ${name}`),
      stop: () => log.push(`stop ${name}`),
    } as unknown as SeriesSession;
  });
  current.start();
  view.symbol.set(BTC);
  view.interval.set('1s');
  expect(log).toEqual([`start ${BTC} 60s`, `stop ${BTC} 60s`, `start ${BTC} 1s`]);
  expect(current.session.get()?.entry.interval).toBe('1s');
});

test('indicator values are kept while the series stays and made anew for another one', () => {
  const cache = new SeriesCache();
  const session = new Store<{ entry: SeriesEntry } | undefined>(undefined);
  const sma: ChosenIndicator = { kind: 'sma', params: [20] };
  const chosen = new Store<readonly ChosenIndicator[]>([sma]);
  const book = new IndicatorBook(session, chosen, () => deferred<never>().promise);
  book.start();
  expect(book.drawn.get()).toEqual([]);
  session.set({ entry: cache.open(BTC, '60s') });
  const [first] = book.drawn.get();
  chosen.set([sma, { kind: 'rsi', params: [14] }]);
  expect(book.drawn.get()[0]).toBe(first);
  expect(book.drawn.get()).toHaveLength(2);
  session.set({ entry: cache.open(ETH, '60s') });
  expect(book.drawn.get()[0]).not.toBe(first);
});

test('health is asked over HTTP only while the live connection brings none', async () => {
  const fetchHealth = vi.fn(() => deferred<never>().promise);
  const state = new HealthState(fetchHealth);
  state.start();
  expect(fetchHealth).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 10; i += 1) {
    state.take({ status: 'ok', mode: 'SIM', version: '1', problems: [], feeds: [] });
    await vi.advanceTimersByTimeAsync(1000);
  }
  expect(fetchHealth).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(fetchHealth.mock.calls.length).toBeGreaterThan(1);
  state.stop();
});

test('the theme follows the system until the user chooses, and again when asked to', () => {
  let changed: () => void = () => undefined;
  const system = {
    matches: true,
    addEventListener: (_: string, listener: () => void) => {
      changed = listener;
    },
  };
  const root = { dataset: {} as Record<string, string> };
  const storage = new MapStorage();
  const open = () =>
    new ThemeState(storage, system as unknown as MediaQueryList, root as unknown as HTMLElement);
  const theme = open();
  expect(root.dataset.theme).toBe('dark');
  system.matches = false;
  changed();
  expect(theme.theme.get()).toBe('light');
  theme.toggle();
  expect(root.dataset.theme).toBe('dark');
  expect(open().choice.get()).toBe('dark');
  theme.choose('system');
  expect(theme.theme.get()).toBe('light');
  expect(open().choice.get()).toBe('system');
});
