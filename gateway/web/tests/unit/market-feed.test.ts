// Trades and prices: in order of venue time, each once, published once per frame.
import { describe, expect, test, vi } from 'vitest';
import type { LiveHub, TopicListener } from '../../src/live/hub';
import { MarketFeed } from '../../src/live/market-feed';
import { mergeTrades, TAPE_LENGTH } from '../../src/live/trade-list';
import type { Trade } from '../../src/market/trade';
import { spreadOf } from '../../src/quote/spread';
import { FrameBatch } from '../../src/state/frame-batch';
import { BTC, trade } from './builders';

const ids = (trades: readonly Trade[]) => trades.map(({ tradeId }) => tradeId);

describe('the list behind the tape', () => {
  test('has the newest trade first', () => {
    expect(ids(mergeTrades([trade('1', 10)], [trade('2', 20), trade('3', 30)]))).toEqual(['3', '2', '1']);
  });

  test('puts a late print where its venue time says', () => {
    expect(ids(mergeTrades([trade('3', 30), trade('1', 10)], [trade('2', 20)]))).toEqual(['3', '2', '1']);
  });

  test('leaves out duplicate prints and then stays the same list', () => {
    const known = [trade('2', 20), trade('1', 10)];
    expect(mergeTrades(known, [trade('1', 10), trade('2', 20)])).toBe(known);
  });

  test('orders trades of one millisecond by arrival', () => {
    expect(ids(mergeTrades([], [trade('a', 5), trade('b', 5)]))).toEqual(['b', 'a']);
  });

  test('is bounded', () => {
    const many = Array.from({ length: 500 }, (_, i) => trade(String(i), i));
    const list = mergeTrades([], many);
    expect(list).toHaveLength(TAPE_LENGTH);
    expect(list[0]?.tradeId).toBe('499');
  });
});

function feedWith() {
  const listeners = new Map<string, TopicListener>();
  const stop = vi.fn();
  const hub = {
    watch: (topic: string, listener: TopicListener) => {
      listeners.set(topic, listener);
      return stop;
    },
  } as unknown as LiveHub;
  let frame: (() => void) | undefined;
  const feed = new MarketFeed(hub, new FrameBatch((run) => (frame = run)));
  return {
    feed,
    stop,
    tick: (item: Trade) => listeners.get(`${BTC}|tick`)?.message({ type: 'tick', topic: '', trade: item }),
    lagged: (dropped: number) =>
      listeners.get(`${BTC}|tick`)?.message({ type: 'lagged', topic: '', dropped }),
    frame: () => frame?.(),
  };
}

describe('the market feed', () => {
  test('publishes once per frame however many trades came', () => {
    const it = feedWith();
    it.feed.followTrades(BTC);
    const heard = vi.fn();
    it.feed.prices.subscribe(BTC, heard);
    for (let i = 0; i < 50; i += 1) it.tick(trade(String(i), i, { price: 100 + i }));
    expect(heard).not.toHaveBeenCalled();
    it.frame();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(it.feed.prices.get(BTC)).toMatchObject({ price: 149 });
  });

  test('knows the direction of the last price', () => {
    const it = feedWith();
    it.feed.followTrades(BTC);
    for (const [id, price, direction] of [
      ['1', 100, 'same'],
      ['2', 101, 'up'],
      ['3', 99, 'down'],
    ] as const) {
      it.tick(trade(id, Number(id), { price }));
      it.frame();
      expect(it.feed.prices.get(BTC)).toMatchObject({ price, direction });
    }
  });

  test('does not let a late print move the last price', () => {
    const it = feedWith();
    it.feed.followTrades(BTC);
    it.tick(trade('2', 20, { price: 100 }));
    it.frame();
    it.tick(trade('1', 10, { price: 50 }));
    it.frame();
    expect(it.feed.prices.get(BTC)?.price).toBe(100);
    expect(it.feed.tapes.get(BTC)?.trades).toHaveLength(2);
  });

  test('keeps the last price when an older one is repeated after a new subscription', () => {
    const it = feedWith();
    const leave = it.feed.followTrades(BTC);
    it.tick(trade('2', 20, { price: 100 }));
    it.frame();
    leave();
    it.feed.followTrades(BTC);
    it.tick(trade('1', 10, { price: 50 }));
    it.frame();
    expect(it.feed.prices.get(BTC)?.price).toBe(100);
  });

  test('says how many trades were left out', () => {
    const it = feedWith();
    it.feed.followTrades(BTC);
    it.lagged(17);
    it.lagged(3);
    expect(it.feed.tapes.get(BTC)?.skipped).toBe(20);
  });

  test('follows an instrument once for all who need it', () => {
    const it = feedWith();
    const first = it.feed.followTrades(BTC);
    const second = it.feed.followTrades(BTC);
    first();
    expect(it.stop).not.toHaveBeenCalled();
    second();
    expect(it.stop).toHaveBeenCalledTimes(1);
  });
});

test('the spread is absolute, in basis points of the middle, with the share of the bid', () => {
  const quote = { time: 0, bidPrice: 99, bidSize: 3, askPrice: 101, askSize: 1 };
  expect(spreadOf(quote)).toEqual({ absolute: 2, basisPoints: 200, bidShare: 0.75 });
  expect(spreadOf({ ...quote, bidSize: 0, askSize: 0 }).bidShare).toBe(0.5);
});
