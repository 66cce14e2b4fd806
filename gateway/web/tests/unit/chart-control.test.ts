// What the assistant does to the chart: checked, in order, on the chart that is there, and kept per symbol.
import { describe, expect, test, vi } from 'vitest';
import { AnnotationBook, checkAnnotations } from '../../src/chart/annotations';
import { decodeChartActions } from '../../src/chart/chart-action';
import { ChartControl } from '../../src/chart/chart-control';
import { ChartMark } from '../../src/chat/chart-mark';
import { ChosenIndicators, MAX_CHOSEN } from '../../src/indicators/chosen';
import { chosenByName } from '../../src/indicators/named-params';
import type { InstrumentId } from '../../src/market/instrument';
import type { Interval } from '../../src/market/interval';
import { Store } from '../../src/state/store';
import { BTC, MapStorage } from './builders';

function control() {
  const view = {
    symbol: new Store<InstrumentId | undefined>('SIM:ETH/USDT'),
    interval: new Store<Interval>('60s'),
  };
  const indicators = new ChosenIndicators(new MapStorage());
  const storage = new MapStorage();
  const annotations = new AnnotationBook(storage);
  const chart = new ChartControl(view, indicators, annotations);
  const apply = (...actions: object[]) => chart.apply(decodeChartActions(actions));
  return { view, indicators, annotations, storage, apply, keys: () => indicators.list.get() };
}

const SHOW = { action: 'show', venue: 'SIM', symbol: 'BTC/USDT', interval: '3600s' };
const MARKER = { time: '2026-11-20T10:00:30Z', place: 'above', text: 'Up', tone: 'up' };
const LEVEL = { price: '61837.63', text: 'High', tone: 'neutral' };

describe('actions', () => {
  test('show a symbol and mark what is shown then', () => {
    const { view, annotations, apply } = control();
    apply(
      SHOW,
      { action: 'markers', group: 'g', markers: [MARKER] },
      { action: 'levels', group: 'g', levels: [LEVEL] },
    );
    expect([view.symbol.get(), view.interval.get()]).toEqual([BTC, '3600s']);
    expect(annotations.of(BTC)).toEqual({
      markers: { g: [{ ...MARKER, time: 1_795_168_830 }] },
      levels: { g: [{ ...LEVEL, price: 61_837.63 }] },
    });
    expect(annotations.of('SIM:ETH/USDT')).toEqual({ markers: {}, levels: {} });
  });

  test('replace the group of the same name and leave the others', () => {
    const { annotations, apply } = control();
    apply(
      SHOW,
      { action: 'levels', group: 'a', levels: [LEVEL] },
      { action: 'levels', group: 'b', levels: [LEVEL] },
    );
    apply({ action: 'levels', group: 'a', levels: [] });
    expect(Object.keys(annotations.of(BTC).levels)).toEqual(['b']);
    apply({ action: 'clear' });
    expect(annotations.book.get().size).toBe(0);
  });

  test('add indicators once, the same kind with other parameters beside it, and take them away', () => {
    const { apply, keys } = control();
    const add = (name: string, params: object) => apply({ action: 'add_indicator', name, params });
    add('rsi', { length: 14 });
    add('RSI', { period: 14 });
    add('rsi', { length: 7 });
    add('sma', { length: 20 });
    expect(keys()).toEqual([
      { kind: 'rsi', params: [14] },
      { kind: 'rsi', params: [7] },
      { kind: 'sma', params: [20] },
    ]);
    apply({ action: 'remove_indicator', name: 'rsi' });
    expect(keys()).toEqual([{ kind: 'sma', params: [20] }]);
    apply({ action: 'remove_indicator' });
    expect(keys()).toEqual([]);
  });

  test('that add one too many drop the oldest, not the one that was asked for', () => {
    const { apply, keys } = control();
    for (let length = 2; length < 2 + MAX_CHOSEN + 1; length += 1)
      apply({ action: 'add_indicator', name: 'sma', params: { length } });
    expect(keys()).toHaveLength(MAX_CHOSEN);
    expect(keys().at(-1)?.params).toEqual([2 + MAX_CHOSEN]);
  });

  test.each([
    { action: 'show', venue: 'SIM', symbol: 'BTC/USDT', interval: '7s' },
    { action: 'show', venue: 'sim|x', symbol: 'BTC USDT', interval: '60s' },
    { action: 'markers', group: 'g', markers: [{ ...MARKER, time: 'yesterday' }] },
    { action: 'markers', group: 'g', markers: [{ ...MARKER, tone: 'purple' }] },
    { action: 'levels', group: 'g', levels: [{ ...LEVEL, price: 'NaN' }] },
    { action: 'run', code: 'alert(1)' },
    'clear',
    null,
  ])('%j is left out', (action) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    expect(decodeChartActions([action])).toEqual([]);
    expect(warn).toHaveBeenCalledTimes(1);
    warn.mockRestore();
  });

  test('are bounded', () => {
    const markers = Array.from({ length: 900 }, () => MARKER);
    const [action] = decodeChartActions([{ action: 'markers', group: 'g', markers }]);
    expect(action).toMatchObject({ markers: { length: 500 } });
    expect(decodeChartActions(Array.from({ length: 500 }, () => ({ action: 'clear' })))).toHaveLength(64);
    expect(decodeChartActions('clear')).toEqual([]);
  });
});

describe('parameters by name', () => {
  test.each([
    ['bollinger', { length: 30, deviations: 2.5 }, [30, 2.5]],
    ['bollinger', { period: 30, stddev: '2.5' }, [30, 2.5]],
    ['macd', { fast: 5, slow: 10, signal: 3 }, [5, 10, 3]],
    ['macd', { fast_period: 5 }, [5, 26, 9]],
    ['macd', [8, 21], [8, 21, 9]],
    ['rsi', { lookback: 9 }, [9]],
    ['rsi', {}, [14]],
    ['rsi', null, [14]],
    ['rsi', { length: 9e9 }, [500]],
    ['rsi', { length: 'x' }, [14]],
    ['vwap', { anything: 1 }, []],
    ['Stoch RSI', undefined, [14, 14, 3, 3]],
  ])('%s with %j', (name, params, expected) => {
    expect(chosenByName(name, params)?.params).toEqual(expected);
  });

  test('of an indicator that the page does not have are nothing', () => {
    expect(chosenByName('crystal ball', {})).toBeUndefined();
  });
});

describe('annotations', () => {
  test('survive a reload', () => {
    const { annotations, storage, apply } = control();
    apply(
      SHOW,
      { action: 'markers', group: 'g', markers: [MARKER] },
      { action: 'levels', group: 'g', levels: [LEVEL] },
    );
    expect(new AnnotationBook(storage).of(BTC)).toEqual(annotations.of(BTC));
  });

  test.each([7, {}, null, 'x'])('that are %j are none', (saved) => {
    expect(checkAnnotations(saved)).toBeUndefined();
  });

  test('that were broken by hand do not break the page', () => {
    const storage = new MapStorage();
    storage.setItem(
      'dexorder.annotations.v1',
      JSON.stringify([{ symbol: BTC, markers: [{ group: 'g', items: [7] }] }, null]),
    );
    expect(new AnnotationBook(storage).book.get().size).toBe(0);
  });

  test('are kept for a few symbols', () => {
    const { annotations } = control();
    for (let i = 0; i < 9; i += 1)
      annotations.setLevels(`SIM:A${i}/USDT`, 'g', [{ price: 1, text: '', tone: 'up' }]);
    expect([...annotations.book.get().keys()]).toHaveLength(6);
    expect(annotations.book.get().has('SIM:A8/USDT')).toBe(true);
  });
});

describe('the mark', () => {
  const at = (turnId: string, sequence: number, conversationId = 'main') => ({
    conversationId,
    turnId,
    sequence,
  });

  test('lets each place pass once and in order', () => {
    const mark = new ChartMark(new MapStorage());
    mark.beginAt(at('01A', 5));
    expect(mark.pass(at('01A', 5))).toBe(false);
    expect(mark.pass(at('01A', 6))).toBe(true);
    expect(mark.pass(at('01A', 6))).toBe(false);
    expect(mark.pass(at('01B', 2))).toBe(true);
    expect(mark.pass(at('01A', 9))).toBe(false);
  });

  test('survives a reload of its tab and begins anew in another conversation', () => {
    const tab = new MapStorage();
    const mark = new ChartMark(tab);
    mark.beginAt(at('01A', 5));
    const again = new ChartMark(tab);
    again.beginAt(at('01B', 9));
    expect(again.pass(at('01A', 6))).toBe(true);
    again.beginAt(at('01C', 1, 'other'));
    expect(again.pass(at('01A', 7))).toBe(false);
    expect(again.pass(at('01D', 1, 'other'))).toBe(true);
  });
});
