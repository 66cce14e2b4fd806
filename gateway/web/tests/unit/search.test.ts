// Searching while typing: one request after a pause, overtaken answers dropped, errors shown.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import type { Instrument } from '../../src/market/instrument';
import type { Command } from '../../src/palette/commands';
import { matches } from '../../src/palette/commands';
import { parseSearch } from '../../src/search/search-query';
import { SearchSession } from '../../src/search/search-session';
import { BTC, deferred, instrument, settle } from './builders';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the search', () => {
  test('waits for a pause in typing', () => {
    const fetchInstruments = vi.fn(() => new Promise<Instrument[]>(() => undefined));
    const session = new SearchSession(fetchInstruments, vi.fn());
    for (const text of ['b', 'bt', 'btc']) session.setText(text);
    expect(session.state.get().phase).toBe('loading');
    vi.advanceTimersByTime(200);
    expect(fetchInstruments).toHaveBeenCalledTimes(1);
    expect(fetchInstruments).toHaveBeenCalledWith(
      { venue: undefined, text: 'btc', limit: 40 },
      expect.anything(),
    );
  });

  test('drops an answer that was overtaken', async () => {
    const first = deferred<Instrument[]>();
    const second = deferred<Instrument[]>();
    const answers = [first, second];
    const session = new SearchSession(() => (answers.shift() as typeof first).promise, vi.fn());
    session.setText('b');
    vi.advanceTimersByTime(200);
    session.setText('e');
    vi.advanceTimersByTime(200);
    second.resolve([instrument('SIM:ETH/USDT')]);
    await settle();
    first.resolve([instrument(BTC)]);
    await settle();
    expect(session.state.get().results.map(({ id }) => id)).toEqual(['SIM:ETH/USDT']);
  });

  test('remembers answers and passes on what it learned', async () => {
    const fetchInstruments = vi.fn(async () => [instrument(BTC)]);
    const learned = vi.fn();
    const session = new SearchSession(fetchInstruments, learned);
    for (const text of ['btc', '', 'BTC ']) {
      session.setText(text);
      vi.advanceTimersByTime(200);
      await settle();
    }
    expect(fetchInstruments).toHaveBeenCalledTimes(2);
    expect(learned).toHaveBeenCalledWith([instrument(BTC)]);
    expect(session.state.get()).toMatchObject({ phase: 'ready', text: 'BTC ' });
  });

  test('shows a failure and can be asked again', async () => {
    const fetchInstruments = vi
      .fn<() => Promise<Instrument[]>>()
      .mockRejectedValueOnce(new ApiError('unreachable', 'gone'))
      .mockResolvedValueOnce([instrument(BTC)]);
    const session = new SearchSession(fetchInstruments, vi.fn());
    session.setText('btc');
    vi.advanceTimersByTime(200);
    await settle();
    expect(session.state.get()).toMatchObject({ phase: 'failed', error: { kind: 'unreachable' } });
    session.refresh();
    vi.advanceTimersByTime(1);
    await settle();
    expect(session.state.get()).toMatchObject({ phase: 'ready', error: undefined });
  });
});

test.each([
  ['btc', undefined, 'btc'],
  [' btc/usdt ', undefined, 'btc/usdt'],
  ['sim:btc', 'SIM', 'btc'],
  ['binance-usdm: eth', 'BINANCE-USDM', 'eth'],
  ['sim:', 'SIM', ''],
])('"%s" asks venue %s for "%s"', (typed, venue, text) => {
  expect(parseSearch(typed)).toEqual({ venue, text });
});

test('a command is found by the beginnings of its words', () => {
  const command: Command = { id: 'x', group: 'Timeframe', title: '5m', hint: '5 minutes', run: vi.fn() };
  for (const typed of ['5m', '5 min', 'time 5', 'MINUTES', '']) expect(matches(command, typed)).toBe(true);
  for (const typed of ['15', 'hour', '5m x']) expect(matches(command, typed)).toBe(false);
});
