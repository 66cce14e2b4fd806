// Test data: candles, instruments, trades and stand-ins, with everything that a test does not care about filled in.
import type { CandlePage } from '../../src/api/candles';
import type { Candle } from '../../src/market/candle';
import type { Instrument, InstrumentId } from '../../src/market/instrument';
import type { Trade } from '../../src/market/trade';
import type { TextStorage } from '../../src/state/saved';

export const BTC: InstrumentId = 'SIM:BTC/USDT';

export const candle = (time: number, change: Partial<Candle> = {}): Candle => ({
  time,
  open: 100,
  high: 110,
  low: 90,
  close: 105,
  volume: 1,
  trades: 10,
  revision: 0,
  closed: true,
  repaired: false,
  ...change,
});

/** Closed candles of one minute: `count` of them, the first at `from` minutes. */
export const minutes = (from: number, count: number): Candle[] =>
  Array.from({ length: count }, (_, i) => candle((from + i) * 60));

export const page = (
  candles: Candle[],
  history: CandlePage['history'] = 'complete',
  older?: number,
): CandlePage => ({ candles, history, older });

export const times = (candles: readonly Candle[]): number[] => candles.map(({ time }) => time);

export const trade = (tradeId: string, time: number, change: Partial<Trade> = {}): Trade => ({
  tradeId,
  time,
  price: 100,
  size: 1,
  side: 'buy',
  ...change,
});

export const instrument = (id: InstrumentId, change: Partial<Instrument> = {}): Instrument => ({
  id,
  venue: id.split(':')[0] ?? '',
  symbol: id.split(':')[1] ?? '',
  kind: 'spot',
  status: 'trading',
  tickSize: '0.01',
  lotSize: '0.001',
  live: true,
  ...change,
});

export class MapStorage implements TextStorage {
  readonly map = new Map<string, string>();
  getItem = (key: string) => this.map.get(key) ?? null;
  setItem = (key: string, value: string) => void this.map.set(key, value);
  removeItem = (key: string) => void this.map.delete(key);
}

/** A promise that the test settles. */
export function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Lets everything run that waits only for promises. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

/** A WebSocket that the test drives. */
export class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: { op: string; id: number; topics: string[] }[] = [];
  closed = false;
  send = (text: string) => void this.sent.push(JSON.parse(text));
  close = () => {
    this.closed = true;
  };
  open = () => this.onopen?.();
  says = (message: unknown) => this.onmessage?.({ data: JSON.stringify(message) });
  breaks = (code = 1006) => this.onclose?.({ code });
}

/** A world for LiveSocket and LiveHub that hands out fake sockets. */
export function fakeWorld() {
  const sockets: FakeSocket[] = [];
  return {
    sockets,
    latest: () => sockets.at(-1) as FakeSocket,
    world: {
      connect: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      now: () => Date.now(),
      random: () => 0.5,
    },
  };
}

export const health = (change: object = {}) => ({
  status: 'ok',
  mode: 'SIM',
  version: '0.1.0',
  server_time: '2026-11-20T10:00:00Z',
  problems: [],
  feeds: [],
  ...change,
});
