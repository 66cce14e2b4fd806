// Merging candles: one per open time, the newest revision, in order.
import { describe, expect, test } from 'vitest';
import { supersedes } from '../../src/market/candle';
import { CandleSeries, type SeriesChange } from '../../src/series/candle-series';
import { candle, minutes, times } from './builders';

function seriesOf(from: number, count: number) {
  const series = new CandleSeries();
  series.merge(minutes(from, count));
  const changes: SeriesChange[] = [];
  series.subscribe((change) => changes.push(change));
  return { series, changes };
}

describe('which version of a candle is newer', () => {
  test.each([
    ['a higher revision replaces a closed candle', { revision: 1 }, {}, true],
    ['a lower revision never does', { revision: 0 }, { revision: 1 }, false],
    ['closed replaces open', {}, { closed: false }, true],
    ['open never replaces closed', { closed: false, trades: 99 }, {}, false],
    [
      'an open candle with more trades replaces an open one',
      { closed: false, trades: 11 },
      { closed: false },
      true,
    ],
    ['an overtaken open candle does not', { closed: false, trades: 9 }, { closed: false }, false],
    ['the same closed candle again is a duplicate', {}, {}, false],
    ['a higher revision may be open again', { revision: 1, closed: false }, {}, true],
  ])('%s', (_, incoming, known, expected) => {
    expect(supersedes(candle(60, incoming), candle(60, known))).toBe(expected);
  });
});

describe('a candle series', () => {
  test('appends a newer candle and says from where on it changed', () => {
    const { series, changes } = seriesOf(0, 3);
    series.merge([candle(180)]);
    expect(times(series.candles)).toEqual([0, 60, 120, 180]);
    expect(changes).toEqual([{ type: 'updated', since: 180, changed: 1 }]);
  });

  test('puts an older page in front', () => {
    const { series, changes } = seriesOf(10, 3);
    series.merge(minutes(5, 5));
    expect(times(series.candles)).toEqual(times(minutes(5, 8)));
    expect(changes).toEqual([{ type: 'prepended', count: 5 }]);
  });

  test('takes a page that overlaps without doubling a candle', () => {
    const { series, changes } = seriesOf(10, 3);
    series.merge(minutes(8, 4));
    expect(times(series.candles)).toEqual(times(minutes(8, 5)));
    expect(changes).toEqual([{ type: 'prepended', count: 2 }]);
  });

  test('replaces a closed candle by its revision', () => {
    const { series, changes } = seriesOf(0, 5);
    series.merge([candle(60, { revision: 1, close: 42, repaired: true })]);
    expect(series.at(60)).toMatchObject({ close: 42, repaired: true });
    expect(series.candles).toHaveLength(5);
    expect(changes).toEqual([{ type: 'updated', since: 60, changed: 1 }]);
  });

  test('says nothing when all candles were known', () => {
    const { series, changes } = seriesOf(0, 5);
    expect(series.merge(minutes(1, 3))).toBeUndefined();
    expect(changes).toEqual([]);
  });

  test('fills a hole in the middle', () => {
    const series = new CandleSeries();
    series.merge([candle(0), candle(180)]);
    expect(series.merge([candle(60), candle(120)])).toEqual({ type: 'reset' });
    expect(times(series.candles)).toEqual([0, 60, 120, 180]);
  });

  test('is the same in whatever order pages and live candles arrive', () => {
    const parts = [minutes(0, 50), minutes(40, 30), [candle(65 * 60, { revision: 2 })], minutes(20, 10)];
    const forward = new CandleSeries();
    for (const part of parts) forward.merge(part);
    const backward = new CandleSeries();
    for (const part of parts.toReversed()) backward.merge(part);
    expect(forward.candles).toEqual(backward.candles);
    expect(forward.candles).toHaveLength(70);
  });

  test('keeps the newest candles when it is cut', () => {
    const { series, changes } = seriesOf(0, 10);
    series.keepNewest(4);
    expect(times(series.candles)).toEqual(times(minutes(6, 4)));
    expect(changes).toEqual([{ type: 'reset' }]);
  });

  test('finds a candle by its open time only', () => {
    const { series } = seriesOf(0, 3);
    expect(series.at(60)?.time).toBe(60);
    expect(series.at(61)).toBeUndefined();
  });

  test('takes 86 400 candles in pages of 5000 quickly', () => {
    const series = new CandleSeries();
    const all = minutes(0, 86_400);
    for (let end = all.length; end > 0; end -= 5000) series.merge(all.slice(Math.max(0, end - 5000), end));
    expect(series.candles).toHaveLength(86_400);
    expect(series.first?.time).toBe(0);
  });
});
