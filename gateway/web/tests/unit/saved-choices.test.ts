// What is kept in the address and in the browser is checked when it is read.
import { describe, expect, test } from 'vitest';
import { formatUrl, parseUrl } from '../../src/app/url-state';
import { inOrder } from '../../src/indicators/catalog';
import { ChosenIndicators, checkChosen, MAX_CHOSEN } from '../../src/indicators/chosen';
import { checkTheme } from '../../src/theme/theme';
import { checkWatchList, MAX_WATCHED, seedFrom, WatchList } from '../../src/watchlist/watch-list';
import { BTC, instrument, MapStorage } from './builders';

describe('the address', () => {
  test('holds symbol and interval in a readable form', () => {
    expect(formatUrl('', BTC, '60s')).toBe('?symbol=SIM:BTC/USDT&interval=1m');
    expect(parseUrl('?symbol=SIM:BTC/USDT&interval=1m')).toEqual({ symbol: BTC, interval: '60s' });
  });

  test('may be escaped, in lower case, or in the spelling of the wire', () => {
    expect(parseUrl('?symbol=sim%3Abtc%2Fusdt&interval=14400s')).toEqual({ symbol: BTC, interval: '14400s' });
  });

  test.each(['?symbol=BTC', '?symbol=SIM:A|B', '?symbol=:BTC/USDT', '?interval=7m', '?interval=', ''])(
    '%s is taken as absent',
    (search) => {
      expect(parseUrl(search)).toEqual({ symbol: undefined, interval: undefined });
    },
  );

  test('keeps parameters of others', () => {
    expect(formatUrl('?debug=1', BTC, '1s')).toBe('?debug=1&symbol=SIM:BTC/USDT&interval=1s');
  });
});

describe('the watch list', () => {
  test('keeps valid ids only, each once, no more than the limit', () => {
    expect(checkWatchList([BTC, BTC, 7, 'x', 'SIM:ETH/USDT'])).toEqual([BTC, 'SIM:ETH/USDT']);
    expect(checkWatchList('SIM:BTC/USDT')).toBeUndefined();
    expect(checkWatchList(Array.from({ length: 99 }, (_, i) => `SIM:A${i}/USDT`))).toHaveLength(MAX_WATCHED);
  });

  test('starts from live instruments, well-known ones first, each symbol once', () => {
    const list = seedFrom([
      instrument('SIM:ZZZ/USDT'),
      instrument('KRAKEN:ETH/USD'),
      instrument('BINANCE:BTC/USDT'),
      instrument('OKX:BTC/USDT'),
      instrument('OKX:SOL/USDT', { live: false }),
      instrument('OKX:ADA/USDT', { status: 'halted' }),
    ]);
    expect(list).toEqual(['BINANCE:BTC/USDT', 'KRAKEN:ETH/USD', 'SIM:ZZZ/USDT']);
  });

  test('is saved once the user changes it, not before', () => {
    const storage = new MapStorage();
    const list = new WatchList(storage);
    list.seed([instrument(BTC)]);
    expect(storage.map.size).toBe(0);
    list.add('SIM:ETH/USDT');
    expect(new WatchList(storage).items.get()).toEqual([BTC, 'SIM:ETH/USDT']);
    list.remove(BTC);
    expect(new WatchList(storage).items.get()).toEqual(['SIM:ETH/USDT']);
  });

  test('survives a broken or forbidden storage', () => {
    const storage = new MapStorage();
    storage.map.set('dexorder.watchlist.v1', '{broken');
    expect(new WatchList(storage).items.get()).toBeUndefined();
    const list = new WatchList(undefined);
    expect(list.add(BTC)).toBe(true);
    expect(list.has(BTC)).toBe(true);
  });

  test('walks to the neighbours and holds at the ends', () => {
    const list = new WatchList(new MapStorage());
    for (const id of ['A:A/B', 'A:C/D', 'A:E/F'] as const) list.add(id);
    expect(list.neighbour('A:A/B', 1)).toBe('A:C/D');
    expect(list.neighbour('A:A/B', -1)).toBe('A:A/B');
    expect(list.neighbour('A:E/F', 1)).toBe('A:E/F');
    expect(list.neighbour(BTC, 1)).toBe('A:A/B');
    expect(list.neighbour(undefined, 1)).toBe('A:A/B');
  });
});

describe('chosen indicators', () => {
  test('that are not known or out of range are left out', () => {
    const saved = [
      { kind: 'sma', params: [20] },
      { kind: 'sma', params: [0] },
      { kind: 'sma', params: ['20'] },
      { kind: 'magic', params: [] },
      { kind: 'macd', params: [12, 26] },
      null,
      { kind: 'sma', params: [20] },
    ];
    expect(checkChosen(saved)).toEqual([{ kind: 'sma', params: [20] }]);
    expect(checkChosen({})).toBeUndefined();
  });

  test('get other parameters when the same one is added again', () => {
    const chosen = new ChosenIndicators(new MapStorage());
    chosen.add('sma');
    chosen.add('sma');
    expect(chosen.list.get()).toEqual([
      { kind: 'sma', params: [20] },
      { kind: 'sma', params: [40] },
    ]);
  });

  test('without parameters are there once', () => {
    const chosen = new ChosenIndicators(new MapStorage());
    chosen.add('vwap');
    chosen.add('vwap');
    expect(chosen.list.get()).toHaveLength(1);
  });

  test('are bounded, changed, toggled and kept', () => {
    const storage = new MapStorage();
    const chosen = new ChosenIndicators(storage);
    for (let i = 0; i < 20; i += 1) chosen.add('ema');
    expect(chosen.list.get()).toHaveLength(MAX_CHOSEN);
    chosen.change('ema:50', [9]);
    expect(new ChosenIndicators(storage).list.get()[0]).toEqual({ kind: 'ema', params: [9] });
    chosen.toggle('ema');
    expect(chosen.list.get()).toEqual([]);
    chosen.toggle('rsi');
    expect(chosen.list.get()).toEqual([{ kind: 'rsi', params: [14] }]);
  });
});

test('outputs of an indicator are listed as traders do, unknown ones first', () => {
  const names = ['histogram', 'lower', 'macd', 'middle', 'new', 'signal', 'upper'];
  expect(inOrder(names.map((name) => [name, 0] as const)).map(([name]) => name)).toEqual([
    'new',
    'macd',
    'signal',
    'histogram',
    'upper',
    'middle',
    'lower',
  ]);
});

test('a saved theme is dark or light, anything else is the system', () => {
  expect(checkTheme('dark')).toBe('dark');
  expect(checkTheme('blue')).toBeUndefined();
});
