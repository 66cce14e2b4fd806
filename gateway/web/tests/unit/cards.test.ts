// Cards and panels: reports read from either shape, curves, diffs, money, files, activity, layout.
import { describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import { nextStep } from '../../src/api/next-step';
import { checkLayout, clampWidth } from '../../src/app/layout-state';
import { mergeReports, readReport, thin } from '../../src/cards/backtest-report';
import { areaPath, linePath, rangeOf } from '../../src/cards/curve-path';
import { diffLines, parseDiff } from '../../src/cards/diff';
import { ulid } from '../../src/chat/ulid';
import { ActivityLog, type ActivityWorld, lineOf } from '../../src/drawer/activity';
import { limitOf } from '../../src/format/facts';
import { formatDuration, formatMicroUsd, formatTokens } from '../../src/format/money';
import { Loadable } from '../../src/state/loadable';
import { deferred, settle } from './builders';

const NS = 1e6;

describe('a report', () => {
  const kept = {
    run: { id: '01R', strategy: 'cross', market: 'SIM:BTC/USDT', interval: '1h', commit: 'c0ffee' },
    summary: { begin_ns: 5 * NS, end_ns: 9 * NS, fees: '86.52', round_trips: 7, end_equity: '11420.50' },
    statistics: { total_return: 0.14, benchmark_return: 0.1, sharpe: null, max_drawdown: 0.08 },
    checks: { look_ahead: { verdict: 'found', candle: 3 } },
    curve: [
      { time_ns: 5 * NS, equity: '10000', drawdown: 0, benchmark: 10_000 },
      { time_ns: 'soon', equity: 'x' },
      { time_ns: 9 * NS, equity: '11420.50', drawdown: 0.01 },
    ],
    fills: [{ time_ns: 6 * NS, direction: 'sell', price: '61837.63' }],
  };

  test('is read from the kept run', () => {
    expect(readReport(kept)).toMatchObject({
      strategy: 'cross',
      market: 'SIM:BTC/USDT',
      totalReturn: 0.14,
      sharpe: undefined,
      trades: 7,
      fees: 86.52,
      begin: 5,
      lookAhead: { verdict: 'found' },
      fills: [{ time: 6, direction: 'sell', price: 61_837.63 }],
    });
    expect(readReport(kept).curve).toHaveLength(2);
  });

  test('is read from a flat summary of texts too', () => {
    expect(readReport({ total_return: '0.14', trades: '7', look_ahead: 'clean' })).toMatchObject({
      totalReturn: 0.14,
      trades: 7,
      lookAhead: { verdict: 'clean' },
    });
  });

  test('has its market in one text or in two, and its interval in words or in ns', () => {
    expect(readReport({ venue: 'SIM', symbol: 'BTC/USDT', interval: '1h' })).toMatchObject({
      market: 'SIM:BTC/USDT',
      interval: '1h',
    });
    expect(readReport({ inputs: { market: 'SIM:BTC/USDT', interval_ns: 3_600_000_000_000 } })).toMatchObject({
      market: 'SIM:BTC/USDT',
      interval: '3600s',
    });
  });

  test.each([undefined, null, 7, 'x', [], { curve: 7, fills: {} }])(
    'from %j is unknown, not broken',
    (body) => {
      expect(readReport(body)).toMatchObject({
        totalReturn: undefined,
        curve: [],
        fills: [],
        lookAhead: undefined,
      });
    },
  );

  test('takes from the kept run what the card does not say', () => {
    const merged = mergeReports(readReport({ total_return: 0.2 }), readReport(kept));
    expect(merged).toMatchObject({ totalReturn: 0.2, fees: 86.52 });
    expect(merged.curve).toHaveLength(2);
  });

  test('is thinned with both ends', () => {
    const list = Array.from({ length: 5000 }, (_, i) => i);
    const thinned = thin(list, 600);
    expect([thinned.length, thinned[0], thinned.at(-1)]).toEqual([600, 0, 4999]);
  });
});

test('curves fill their box', () => {
  const box = { width: 100, height: 10, low: 0, high: 10 };
  expect(linePath([0, 10, 5], box)).toBe('M0.0 10.0L50.0 0.0L100.0 5.0');
  expect(areaPath([0, 10], box, 0)).toBe('M0.0 10.0L100.0 0.0L100.0 10.0L0 10.0Z');
  expect(linePath([7], box)).toBe('');
  expect(linePath([7, 7], { ...box, ...rangeOf([7, 7]) })).not.toContain('NaN');
});

describe('diffs', () => {
  test('of git are lines without heads', () => {
    const lines = parseDiff(
      'diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ def f\n same\n-old\n+new\n\\ No newline\n',
    );
    expect(lines).toEqual([
      { kind: 'place', text: '-1,2 +1,2' },
      { kind: 'same', text: 'same' },
      { kind: 'removed', text: 'old' },
      { kind: 'added', text: 'new' },
    ]);
  });

  test('of a removed line that begins with dashes keep it', () => {
    expect(parseDiff('@@ -1 +0,0 @@\n--- a comment')).toContainEqual({
      kind: 'removed',
      text: '-- a comment',
    });
  });

  test('of two texts keep what both have', () => {
    const lines = diffLines('a\nb\nc\nd', 'a\nx\nc\nd\ne');
    expect(lines.map(({ kind, text }) => `${kind[0]}${text}`)).toEqual(['sa', 'rb', 'ax', 'sc', 'sd', 'ae']);
  });

  test('give both texts back', () => {
    const before = 'one\ntwo\ntwo\nthree\nfour';
    const after = 'zero\ntwo\nthree\nthree\nfour\nfive';
    const lines = diffLines(before, after);
    const side = (kind: string) =>
      lines
        .filter((line) => line.kind === 'same' || line.kind === kind)
        .map((line) => line.text)
        .join('\n');
    expect(side('removed')).toBe(before);
    expect(side('added')).toBe(after);
  });
});

test.each([
  [0, 'no cost'],
  [1, '$0.000001'],
  [2140, '$0.0022'],
  [48_000, '$0.048'],
  [1_240_000, '$1.24'],
  [1_234_567_891, '$1,234.57'],
])('%i millionths of a dollar are %s', (micro, words) => {
  expect(formatMicroUsd(micro)).toBe(words);
});

test('durations and tokens are short', () => {
  expect([7, 340, 12_400, 125_000].map(formatDuration)).toEqual(['7 ms', '0.3 s', '12 s', '2 min 5 s']);
  expect([940, 12_340, 1_200_000].map(formatTokens)).toEqual(['940', '12.3k', '1.2M']);
});

test('limits are said in the unit of their name', () => {
  expect(limitOf('memory_bytes', 536_870_912)).toEqual(['Memory', '512 MiB']);
  expect(limitOf('storage_bytes', 10_737_418_240)).toEqual(['Storage', '10 GiB']);
  expect(limitOf('cpu_millicores', 500)).toEqual(['CPU', '0.5 cores']);
  expect(limitOf('idle_timeout_s', null)).toEqual(['Idle timeout', 'never']);
  expect(limitOf('idle_timeout_s', 900)).toEqual(['Idle timeout', '15 min']);
  expect(limitOf('messages_per_day', 50_000)).toEqual(['Messages per day', '50,000']);
});

test('ids sort by time and are 26 characters of the alphabet', () => {
  const make = (ms: number) => ulid(ms, (into) => into.fill(255));
  expect(make(1_700_000_000_000)).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  expect(make(1_700_000_000_000) < make(1_700_000_000_001)).toBe(true);
  expect(make(0)).toBe('0000000000ZZZZZZZZZZZZZZZZ');
});

function activityLog(change: Partial<ActivityWorld> = {}) {
  const world = {
    now: () => 7,
    list: vi.fn<ActivityWorld['list']>(async () => []),
    markRead: vi.fn<ActivityWorld['markRead']>(async () => undefined),
    confirm: vi.fn<ActivityWorld['confirm']>(() => true),
    isVisible: () => true,
    ...change,
  };
  return { log: new ActivityLog(world), world };
}

const recorded = (number: number, read = false) => ({
  type: 'notification',
  number,
  event_id: `e${number}`,
  kind: 'alert',
  title: 'Alert',
  text: `BTC fell ${number}`,
  created_at_ns: 5e18 + number * 1e9,
  read,
});

describe('activity', () => {
  test('is newest first, each event once, bounded', () => {
    const { log } = activityLog();
    log.take(recorded(2));
    log.take(recorded(1));
    log.take(recorded(2));
    expect(log.list.get().map(({ text }) => text)).toEqual(['BTC fell 2', 'BTC fell 1']);
    expect(log.list.get()[1]).toMatchObject({ key: 'e1', number: 1, title: 'Alert', text: 'BTC fell 1' });
    for (let i = 3; i < 500; i += 1) log.take(recorded(i));
    expect(log.list.get()).toHaveLength(200);
    expect(log.list.get()[0]?.number).toBe(499);
  });

  test('of an informational event is named by its kind and told by its payload', () => {
    const { log, world } = activityLog();
    log.take({
      type: 'informational',
      event_id: 'x',
      kind: 'strategy_changed',
      created_at_ns: 5e18,
      payload: { name: 'cross' },
    });
    expect(log.list.get()[0]).toMatchObject({
      title: 'Strategy changed',
      text: 'name cross',
      number: undefined,
    });
    expect(world.confirm).not.toHaveBeenCalled();
  });

  test('that was recorded before is read, and unread is what nobody has seen', async () => {
    const { log, world } = activityLog({ list: async () => [recorded(3), recorded(2), recorded(1, true)] });
    await log.load();
    await log.load();
    expect(log.list.get()).toHaveLength(3);
    expect(log.unread.get()).toBe(2);
    log.markRead();
    expect(log.unread.get()).toBe(0);
    expect(world.markRead).toHaveBeenCalledWith(3);
  });

  test('is confirmed when it is shown: with somebody there and a connection, once', () => {
    let visible = false;
    let connected = false;
    const confirm = vi.fn(() => connected);
    const { log } = activityLog({ confirm, isVisible: () => visible });
    log.take(recorded(1));
    expect(confirm).not.toHaveBeenCalled();
    visible = true;
    log.confirmShown();
    connected = true;
    log.confirmShown();
    log.confirmShown();
    expect(confirm.mock.calls).toEqual([[['e1']], [['e1']]]);
  });

  test('that was missed is read from the list', async () => {
    const { log } = activityLog({ list: async () => [recorded(1)] });
    log.take({ type: 'missed' });
    await settle();
    expect(log.list.get()).toHaveLength(1);
  });

  test('lives without a list', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { log } = activityLog({
      list: async () => {
        throw new ApiError('refused', 'no such path', { status: 404 });
      },
    });
    await log.load();
    log.take(recorded(1));
    expect(log.list.get()).toHaveLength(1);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test('of any payload is one line', () => {
    expect(lineOf({ strategy: 'cross', market: 'SIM:BTC/USDT', nested: {} })).toBe(
      'strategy cross · market SIM:BTC/USDT',
    );
    expect(lineOf(undefined)).toBe('');
    expect(lineOf('x'.repeat(9000))).toHaveLength(400);
  });

  test('that is broken is left out', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { log } = activityLog();
    log.take('nonsense');
    expect(log.list.get()).toEqual([]);
    warn.mockRestore();
  });
});

test('only the newest of two requests counts', async () => {
  const first = deferred<number>();
  const second = deferred<number>();
  const answers = [first.promise, second.promise];
  const loadable = new Loadable(() => answers.shift() as Promise<number>);
  void loadable.load();
  void loadable.load();
  second.resolve(2);
  await settle();
  first.resolve(1);
  await settle();
  expect(loadable.state.get()).toEqual({ status: 'ready', value: 2, error: undefined });
});

test('the saved layout is checked', () => {
  expect(checkLayout({ chatOpen: 'yes', chatWidth: 9e9, drawer: 'attic' })).toEqual({
    chatOpen: true,
    chatWidth: 720,
    drawer: undefined,
  });
  expect(checkLayout(7)).toBeUndefined();
  expect(clampWidth(1)).toBe(300);
});

test.each([401, 403, 404, 409, 413, 429, 400, 418])(
  'a refusal with status %i says what to do next',
  (status) => {
    expect(nextStep(new ApiError('refused', 'no', { status })).length).toBeGreaterThan(10);
  },
);

test('a refusal that says when to come back names the time', () => {
  const told = (seconds: number) =>
    ApiError.fromResponse(429, { error: { code: 'LIMIT_EXCEEDED', field: '', message: 'wait' } }, seconds);
  expect(nextStep(told(8))).toBe('Wait 8 s, then try again.');
  expect(nextStep(told(900))).toBe('Wait 15 min, then try again.');
});
