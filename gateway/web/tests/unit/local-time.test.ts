// Marks of the time axis fall on local boundaries.
import { expect, test } from 'vitest';
import { createZoneOffset, formatMark, markWeight } from '../../src/chart/local-time';

const at = (text: string): number => Date.parse(`${text}Z`) / 1000;

test.each([
  ['a new year weighs most', '2026-01-01T00:00:00', '2025-12-31T23:59:00', 70],
  ['then a new month', '2026-02-01T00:00:00', '2026-01-31T23:59:00', 60],
  ['then a new day', '2026-02-02T00:00:00', '2026-02-01T23:59:00', 50],
  ['noon', '2026-02-02T12:00:00', '2026-02-02T11:59:00', 33],
  ['a full hour', '2026-02-02T13:00:00', '2026-02-02T12:59:00', 30],
  ['half an hour', '2026-02-02T13:30:00', '2026-02-02T13:29:00', 22],
  ['five minutes', '2026-02-02T13:35:00', '2026-02-02T13:34:00', 21],
  ['a minute', '2026-02-02T13:36:00', '2026-02-02T13:35:59', 20],
  ['half a minute', '2026-02-02T13:36:30', '2026-02-02T13:36:29', 13],
  ['a quarter of an hour', '2026-02-02T13:45:00', '2026-02-02T13:44:00', 21.5],
  ['a second', '2026-02-02T13:36:01', '2026-02-02T13:36:00', 10],
  ['a day after a gap of months is a month', '2026-05-02T13:36:01', '2026-02-02T13:36:00', 60],
])('%s', (_, current, previous, weight) => {
  expect(markWeight(at(current), at(previous))).toBe(weight);
});

test('the offset of the zone follows the clock change', () => {
  const change = at('2026-10-25T01:00:00');
  const offset = createZoneOffset((ms) => (ms / 1000 < change ? -120 : -60));
  expect(offset(change - 1)).toBe(7200);
  expect(offset(change)).toBe(3600);
  expect(offset(change + 900)).toBe(3600);
});

test.each([
  [70, '2026'],
  [60, 'Nov'],
  [50, '20 Nov'],
  [33, '13:05'],
  [20, '13:05'],
  [10, '13:05:30'],
])('a mark of weight %d reads %s', (weight, text) => {
  expect(formatMark(at('2026-11-20T13:05:30'), weight, { utcDays: true, seconds: true })).toBe(text);
});
