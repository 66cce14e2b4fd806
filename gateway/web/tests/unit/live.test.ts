// The live connection: back-off, silence, subscriptions counted and renewed, messages checked.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CLOSE_RESTARTING, reconnectDelay } from '../../src/live/backoff';
import { LiveHub } from '../../src/live/hub';
import { decodeServerMessage } from '../../src/live/messages';
import { candleTopic, quoteTopic, tickTopic } from '../../src/live/topic';
import { BTC, fakeWorld, health, settle } from './builders';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function hubOn() {
  const fake = fakeWorld();
  const onHealth = vi.fn();
  const hub = new LiveHub(fake.world, onHealth);
  hub.socket.start();
  return { ...fake, hub, onHealth, status: () => hub.socket.connection.get().status };
}

const tick = {
  type: 'tick',
  topic: tickTopic(BTC),
  data: {
    venue: 'SIM',
    symbol: 'BTC/USDT',
    trade_id: '812',
    event_time: '2026-11-20T10:00:00.123456789Z',
    receive_time: '2026-11-20T10:00:00.125Z',
    price: '61837.63',
    size: '0.0012',
    side: 'buy',
  },
};

describe('back-off', () => {
  test('doubles to a cap and stays random', () => {
    expect([0, 1, 2, 3, 20].map((attempt) => reconnectDelay(attempt, 1))).toEqual([
      500, 1000, 2000, 4000, 15_000,
    ]);
    expect(reconnectDelay(3, 0)).toBe(2000);
  });

  test('waits half a second to two when the gateway restarts', () => {
    expect(reconnectDelay(0, 0, CLOSE_RESTARTING)).toBe(500);
    expect(reconnectDelay(0, 1, CLOSE_RESTARTING)).toBe(2000);
  });
});

describe('the connection', () => {
  test('comes back after a loss and says when', () => {
    const it = hubOn();
    it.latest().open();
    expect(it.status()).toBe('open');
    it.latest().breaks();
    expect(it.hub.socket.connection.get()).toMatchObject({ status: 'waiting', retryAt: Date.now() + 375 });
    vi.advanceTimersByTime(375);
    expect(it.sockets).toHaveLength(2);
    it.latest().open();
    expect(it.status()).toBe('open');
  });

  test('waits longer after each failed attempt and shortly again after a good one', () => {
    const it = hubOn();
    const delays = [0, 0, 0].map(() => {
      it.latest().breaks();
      const connection = it.hub.socket.connection.get();
      const delay = connection.status === 'waiting' ? connection.retryAt - Date.now() : 0;
      vi.advanceTimersByTime(delay);
      return delay;
    });
    expect(delays).toEqual([375, 750, 1500]);
    it.latest().open();
    it.latest().says({ type: 'health', data: health() });
    it.latest().breaks();
    expect(it.hub.socket.connection.get()).toMatchObject({ retryAt: Date.now() + 375 });
  });

  test('that brings nothing for eight seconds counts as lost', () => {
    const it = hubOn();
    it.latest().open();
    for (let i = 0; i < 10; i += 1) {
      vi.advanceTimersByTime(1000);
      it.latest().says({ type: 'health', data: health() });
    }
    expect(it.status()).toBe('open');
    vi.advanceTimersByTime(10_000);
    expect(it.sockets[0]?.closed).toBe(true);
    expect(it.status()).not.toBe('open');
  });

  test('is tried at once when the network is back', () => {
    const it = hubOn();
    it.latest().breaks();
    it.hub.socket.retryNow();
    expect(it.sockets).toHaveLength(2);
    vi.advanceTimersByTime(5000);
    expect(it.sockets).toHaveLength(2);
  });
});

describe('subscriptions', () => {
  test('of one moment go out together, once per topic', async () => {
    const it = hubOn();
    it.latest().open();
    it.hub.watch(tickTopic(BTC), { message: vi.fn() });
    it.hub.watch(tickTopic(BTC), { message: vi.fn() });
    it.hub.watch(quoteTopic(BTC), { message: vi.fn() });
    await settle();
    expect(it.latest().sent).toEqual([{ op: 'subscribe', id: 1, topics: [tickTopic(BTC), quoteTopic(BTC)] }]);
  });

  test('are made again after a reconnect, and listeners learn of it', async () => {
    const it = hubOn();
    const subscribed = vi.fn();
    it.hub.watch(candleTopic(BTC, '60s'), { message: vi.fn(), subscribed });
    it.latest().open();
    await settle();
    it.latest().says({ type: 'subscribed', id: 1, topics: [candleTopic(BTC, '60s')] });
    expect(subscribed).toHaveBeenCalledTimes(1);
    it.latest().breaks();
    vi.advanceTimersByTime(375);
    it.latest().open();
    await settle();
    expect(it.latest().sent).toMatchObject([{ op: 'subscribe', topics: ['SIM:BTC/USDT|ohlc:60s'] }]);
    it.latest().says({ type: 'subscribed', id: 2, topics: [candleTopic(BTC, '60s')] });
    expect(subscribed).toHaveBeenCalledTimes(2);
  });

  test('end a while after the last listener has gone', async () => {
    const it = hubOn();
    it.latest().open();
    const first = it.hub.watch(tickTopic(BTC), { message: vi.fn() });
    const second = it.hub.watch(tickTopic(BTC), { message: vi.fn() });
    await settle();
    first();
    vi.advanceTimersByTime(5000);
    expect(it.latest().sent).toHaveLength(1);
    second();
    vi.advanceTimersByTime(5000);
    expect(it.latest().sent.at(-1)).toMatchObject({ op: 'unsubscribe', topics: [tickTopic(BTC)] });
  });

  test('survive a quick return without a word to the gateway', async () => {
    const it = hubOn();
    it.latest().open();
    const stop = it.hub.watch(tickTopic(BTC), { message: vi.fn() });
    await settle();
    stop();
    const subscribed = vi.fn();
    it.hub.watch(tickTopic(BTC), { message: vi.fn(), subscribed });
    await settle();
    vi.advanceTimersByTime(5000);
    expect(it.latest().sent).toHaveLength(1);
    expect(subscribed).toHaveBeenCalledTimes(1);
  });

  test('that are refused as a group are asked one by one until the one at fault is known', async () => {
    const it = hubOn();
    it.latest().open();
    const refused = vi.fn();
    const fine = vi.fn();
    it.hub.watch(tickTopic(BTC), { message: vi.fn(), refused: fine });
    it.hub.watch(tickTopic('SIM:BAD/USDT'), { message: vi.fn(), refused });
    await settle();
    const error = { code: 'INVALID_FIELD', field: 'topics[1]', message: 'not served', retryable: false };
    it.latest().says({ type: 'error', id: 1, error });
    expect(
      it
        .latest()
        .sent.slice(1)
        .map(({ topics }) => topics),
    ).toEqual([[tickTopic(BTC)], [tickTopic('SIM:BAD/USDT')]]);
    it.latest().says({ type: 'error', id: 3, error });
    expect(refused).toHaveBeenCalledWith('not served');
    expect(fine).not.toHaveBeenCalled();
  });
});

describe('messages', () => {
  test('reach the listeners of their topic only', async () => {
    const it = hubOn();
    it.latest().open();
    const mine = vi.fn();
    const other = vi.fn();
    it.hub.watch(tickTopic(BTC), { message: mine });
    it.hub.watch(quoteTopic(BTC), { message: other });
    it.latest().says(tick);
    expect(mine).toHaveBeenCalledTimes(1);
    expect(mine.mock.calls[0]?.[0]).toMatchObject({
      trade: { tradeId: '812', price: 61_837.63, size: 0.0012 },
    });
    expect(other).not.toHaveBeenCalled();
  });

  test('with health go to the health state', () => {
    const it = hubOn();
    it.latest().open();
    it.latest().says({ type: 'health', data: health({ mode: 'REPLAY' }) });
    expect(it.onHealth).toHaveBeenCalledWith(expect.objectContaining({ mode: 'REPLAY' }));
  });

  test('that are not understood are counted and left out', () => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const it = hubOn();
    it.latest().open();
    it.latest().onmessage?.({ data: '{' });
    it.latest().says({ ...tick, data: { ...tick.data, price: 'NaN' } });
    it.latest().says({ ...tick, data: { ...tick.data, price: 61_837.63 } });
    it.latest().says({ ...tick, data: { ...tick.data, event_time: 'yesterday' } });
    it.latest().says({ ...tick, data: { ...tick.data, side: 'up' } });
    expect(it.hub.malformedCount).toBe(5);
    expect(it.status()).toBe('open');
  });

  test('of kinds that a later version may bring are ignored', () => {
    expect(decodeServerMessage('{"type":"order_filled","data":{}}')).toEqual({ type: 'other' });
  });

  test('with a candle carry numbers and whole seconds', () => {
    const data = {
      open_time: '2026-11-20T10:00:00Z',
      open: '61837.6',
      high: '61840',
      low: '61830',
      close: '61837.63',
      volume: '1.5',
      quote_volume: '92756.1',
      trades: 42,
      revision: 3,
      closed: true,
      repaired: true,
    };
    expect(decodeServerMessage(JSON.stringify({ type: 'candle', topic: 't', data }))).toEqual({
      type: 'candle',
      topic: 't',
      candle: {
        time: Date.parse('2026-11-20T10:00:00Z') / 1000,
        open: 61_837.6,
        high: 61_840,
        low: 61_830,
        close: 61_837.63,
        volume: 1.5,
        trades: 42,
        revision: 3,
        closed: true,
        repaired: true,
      },
    });
  });
});
