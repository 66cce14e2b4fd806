// The series cache forgets the least recent series, never the one that is being opened.
import { expect, test } from 'vitest';
import { SeriesCache } from '../../src/series/series-cache';
import { BTC, minutes } from './builders';

test('the same symbol and interval give the same series', () => {
  const cache = new SeriesCache();
  const entry = cache.open(BTC, '60s');
  entry.series.merge(minutes(0, 3));
  expect(cache.open(BTC, '60s').series.candles).toHaveLength(3);
  expect(cache.open(BTC, '1s').series.candles).toHaveLength(0);
});

test('the least recently opened series goes first', () => {
  const cache = new SeriesCache({ series: 2, candles: 1000 });
  cache.open(BTC, '1s');
  cache.open(BTC, '60s');
  cache.open(BTC, '1s');
  cache.open(BTC, '300s');
  expect(cache.peek(BTC, '60s')).toBeUndefined();
  expect(cache.peek(BTC, '1s')).toBeDefined();
});

test('the candles of all series together are bounded', () => {
  const cache = new SeriesCache({ series: 10, candles: 100 });
  cache.open(BTC, '1s').series.merge(minutes(0, 80));
  cache.open(BTC, '60s').series.merge(minutes(0, 80));
  cache.open(BTC, '300s');
  expect(cache.peek(BTC, '1s')).toBeUndefined();
  expect(cache.peek(BTC, '60s')).toBeDefined();
});

test('a single series over the bound stays while it is open', () => {
  const cache = new SeriesCache({ series: 10, candles: 10 });
  cache.open(BTC, '1s').series.merge(minutes(0, 80));
  expect(cache.open(BTC, '1s').series.candles).toHaveLength(80);
});
