// Indicator values: fetched for the part in view, the end kept current, one request at a time.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import type { IndicatorOutputs, IndicatorQuery } from '../../src/api/indicators';
import type { ChosenIndicator } from '../../src/indicators/catalog';
import { IndicatorData } from '../../src/indicators/indicator-data';
import { BTC, deferred, settle } from './builders';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

const points = (from: number, count: number, value: number): IndicatorOutputs => ({
  sma: Array.from({ length: count }, (_, i) => ({ time: (from + i) * 60, value })),
});

function open(chosen: ChosenIndicator = { kind: 'sma', params: [20] }) {
  const asked: {
    query: IndicatorQuery;
    answer: (outputs: IndicatorOutputs) => Promise<void>;
    fail: (error: unknown) => Promise<void>;
  }[] = [];
  const data = new IndicatorData({ instrument: BTC, interval: '60s', chosen }, (query) => {
    const { promise, resolve, reject } = deferred<IndicatorOutputs>();
    const then = (settled: () => void) => {
      settled();
      return settle();
    };
    asked.push({
      query,
      answer: (outputs) => then(() => resolve(outputs)),
      fail: (error) => then(() => reject(error)),
    });
    return promise;
  });
  const want = (from: number, until: number, moved = false) =>
    data.want(from * 60, until * 60, until - from + 1, moved);
  return { data, asked, want, last: () => asked.at(-1) as (typeof asked)[number] };
}

test('the values of the chart are asked for at once, then the end at most once a second', async () => {
  const it = open();
  it.want(100, 699);
  await vi.advanceTimersByTimeAsync(0);
  expect(it.last().query).toMatchObject({ indicator: 'sma', params: [20], before: undefined, limit: 610 });
  await it.last().answer(points(100, 600, 1));
  expect(it.data.value('sma', 120 * 60)).toBe(1);

  for (let i = 0; i < 10; i += 1) it.want(100, 699, true);
  expect(it.asked).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(it.asked).toHaveLength(2);
  expect(it.last().query.limit).toBe(150);
  await it.last().answer(points(690, 11, 2));
  expect(it.data.value('sma', 699 * 60)).toBe(2);
  expect(it.data.value('sma', 680 * 60)).toBe(1);
});

test('values before the known ones are fetched when the user scrolls back', async () => {
  const it = open();
  it.want(1000, 1599);
  await vi.advanceTimersByTimeAsync(0);
  await it.last().answer(points(1000, 610, 1));
  it.want(400, 1599);
  await vi.advanceTimersByTimeAsync(1000);
  expect(it.last().query).toMatchObject({ before: 1000 * 60, limit: 1210 });
});

test('a running sum is fetched as a whole, because each answer has a level of its own', async () => {
  const it = open({ kind: 'obv', params: [] });
  const sums = (from: number, count: number, value: number) => ({
    obv: points(from, count, value).sma ?? [],
  });
  it.want(100, 699);
  await vi.advanceTimersByTimeAsync(0);
  await it.last().answer(sums(100, 600, 1));
  it.want(100, 699, true);
  await vi.advanceTimersByTimeAsync(1000);
  expect(it.last().query).toMatchObject({ before: undefined, limit: 610 });
  await it.last().answer(sums(690, 10, 5));
  expect(it.data.value('obv', 120 * 60)).toBeUndefined();
  it.want(0, 699);
  await vi.advanceTimersByTimeAsync(1000);
  expect(it.last().query).toMatchObject({ before: undefined, limit: 710 });
  await it.last().answer(sums(100, 600, 7));
  expect(it.data.value('obv', 699 * 60)).toBe(7);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(it.asked).toHaveLength(3);
});

test('where there is nothing before, it is not asked for again and again', async () => {
  const it = open();
  it.want(1000, 1599);
  await vi.advanceTimersByTimeAsync(0);
  await it.last().answer(points(1010, 590, 1));
  it.want(1000, 1599);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(it.asked).toHaveLength(1);
});

test('a passing failure is told and tried again, a refusal is final', async () => {
  const it = open();
  it.want(0, 10);
  await vi.advanceTimersByTimeAsync(0);
  await it.last().fail(new ApiError('broken', 'Oops.'));
  expect(it.data.problem.get()).toMatch(/^Oops\./);
  await vi.advanceTimersByTimeAsync(3000);
  expect(it.asked).toHaveLength(2);
  await it.last().fail(new ApiError('refused', 'No.', { status: 400 }));
  it.want(0, 11, true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(it.asked).toHaveLength(2);
});

test('nothing is asked any more after it was stopped', async () => {
  const it = open();
  it.want(0, 10);
  it.data.stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(it.asked).toHaveLength(0);
});
