// Numbers in the venue's precision and times in the user's zone.
import { describe, expect, test } from 'vitest';
import {
  decimalsOf,
  formatFixed,
  formatPercent,
  formatSize,
  formatVolume,
  guessDecimals,
} from '../../src/format/number';
import { formatAge, formatOpenTime, formatUtc, formatZone } from '../../src/format/time';

describe('precision', () => {
  test.each([
    ['0.01', 2],
    ['0.010', 2],
    ['0.50', 1],
    ['1', 0],
    ['5', 0],
    ['10', 0],
    ['0.00000001', 8],
    ['1e-8', 8],
    ['2.5E-3', 4],
    ['1.0', 0],
    ['nonsense', 2],
  ])('a tick of %s needs %i decimals', (step, decimals) => {
    expect(decimalsOf(step)).toBe(decimals);
  });

  test.each([
    [67_012.5, 2, '67,012.50'],
    [0.00002417, 8, '0.00002417'],
    [-3.1449, 2, '−3.14'],
    [1_234_567, 0, '1,234,567'],
  ])('%d with %i decimals is %s', (value, decimals, text) => {
    expect(formatFixed(value, decimals)).toBe(text);
  });

  test.each([
    [68_000, 2],
    [3.2, 4],
    [0.61, 5],
    [0.0000241, 9],
    [0, 2],
  ])('without a tick size %d is shown with %i decimals', (price, decimals) => {
    expect(guessDecimals(price)).toBe(decimals);
  });
});

describe('figures', () => {
  test.each([
    [0.0123, '+1.23 %'],
    [-0.0123, '−1.23 %'],
    [0.00001, '0.00 %'],
    [-0.00001, '0.00 %'],
  ])('a change of %d is %s', (fraction, text) => {
    expect(formatPercent(fraction)).toBe(text);
  });

  test.each([
    [0.5, '0.5000'],
    [1234.5, '1,234.50'],
    [19_084, '19.08K'],
    [12_345_678, '12.35M'],
  ])('a volume of %d is %s', (volume, text) => {
    expect(formatVolume(volume)).toBe(text);
  });

  test.each([
    [0.00286, 5, '0.00286'],
    [12_345.678, 3, '12,345.7'],
    [145_230_512, 0, '145.23M'],
  ])('a size of %d with %i decimals is %s', (size, decimals, text) => {
    expect(formatSize(size, decimals)).toBe(text);
  });

  test.each([
    [40, '0.0 s'],
    [440, '0.4 s'],
    [9940, '9.9 s'],
    [12_300, '12 s'],
    [180_000, '3 min'],
    [7_200_000, '2 h'],
    [400_000_000, '5 d'],
    [-20, '0.0 s'],
  ])('an age of %d ms is %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });
});

describe('times', () => {
  test('UTC is written out, with milliseconds where there are any', () => {
    expect(formatUtc(Date.parse('2026-11-20T13:03:05.120Z'))).toBe('2026-11-20 13:03:05.120 UTC');
    expect(formatUtc(Date.parse('2026-11-20T13:03:05Z'))).toBe('2026-11-20 13:03:05 UTC');
  });

  test('a daily candle is named by its UTC day in every zone', () => {
    expect(formatOpenTime(Date.parse('2026-11-20T00:00:00Z') / 1000, 86_400)).toBe('20 Nov 2026');
  });

  test.each([
    [0, 'UTC'],
    [-120, 'UTC+2'],
    [210, 'UTC−3:30'],
    [-330, 'UTC+5:30'],
  ])('a zone %i minutes behind UTC is %s', (minutes, text) => {
    expect(formatZone(minutes)).toBe(text);
  });
});
