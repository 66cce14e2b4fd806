// The last 24 hours of each watched instrument: first price, high, low, volume and a line for the row.
import { isAbort } from '../api/api-error';
import type { FetchCandles } from '../api/candles';
import type { Candle } from '../market/candle';
import type { InstrumentId } from '../market/instrument';
import { KeyedStore } from '../state/store';

export interface DayStats {
  /** Open of the first candle within 24 hours: the change is measured from it. */
  readonly open: number;
  /** Seconds since the epoch of that candle. */
  readonly since: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  readonly close: number;
  readonly closes: readonly number[];
}

const INTERVAL = '900s';
const DAY_CANDLES = 96;
const DAY_SECONDS = 86_400;
const REFRESH_MS = 120_000;
const RETRY_MS = 4000;
/** Requests at a time, so that a long list does not delay the chart. */
const PARALLEL = 3;

export function summarize(candles: readonly Candle[], nowSeconds: number): DayStats | undefined {
  const newest = candles.at(-1);
  if (newest === undefined) return undefined;
  // A replayed market is as old as its recording: then its own newest candle is "now".
  const end = Math.min(nowSeconds, newest.time + 900);
  const day = candles.filter((candle) => candle.time >= end - DAY_SECONDS);
  const first = day[0];
  if (first === undefined) return undefined;
  return {
    open: first.open,
    since: first.time,
    high: Math.max(...day.map((candle) => candle.high)),
    low: Math.min(...day.map((candle) => candle.low)),
    volume: day.reduce((sum, candle) => sum + candle.volume, 0),
    close: newest.close,
    closes: day.map((candle) => candle.close),
  };
}

export class DayStatsFeed {
  readonly stats = new KeyedStore<InstrumentId, DayStats>();
  private readonly fetchCandles: FetchCandles;
  private readonly followers = new Map<InstrumentId, number>();
  private readonly queue = new Set<InstrumentId>();
  private readonly timers = new Map<InstrumentId, ReturnType<typeof setTimeout>>();
  private running = 0;

  constructor(fetchCandles: FetchCandles) {
    this.fetchCandles = fetchCandles;
  }

  follow(instrument: InstrumentId): () => void {
    const count = this.followers.get(instrument) ?? 0;
    this.followers.set(instrument, count + 1);
    if (count === 0) this.ask(instrument);
    return () => {
      const left = (this.followers.get(instrument) ?? 1) - 1;
      if (left > 0) {
        this.followers.set(instrument, left);
        return;
      }
      this.followers.delete(instrument);
      clearTimeout(this.timers.get(instrument));
      this.timers.delete(instrument);
      this.queue.delete(instrument);
    };
  }

  private ask(instrument: InstrumentId): void {
    this.queue.add(instrument);
    this.next();
  }

  private next(): void {
    const [instrument] = this.queue;
    if (instrument === undefined || this.running >= PARALLEL) return;
    this.queue.delete(instrument);
    this.running += 1;
    void this.load(instrument).finally(() => {
      this.running -= 1;
      this.next();
    });
    this.next();
  }

  private async load(instrument: InstrumentId): Promise<void> {
    let wait = REFRESH_MS;
    try {
      const page = await this.fetchCandles({ instrument, interval: INTERVAL, limit: DAY_CANDLES + 1 });
      const stats = summarize(page.candles, Date.now() / 1000);
      if (stats !== undefined && this.followers.has(instrument)) this.stats.set(instrument, stats);
      if (page.history === 'pending') wait = RETRY_MS;
    } catch (error) {
      if (isAbort(error)) return;
      wait = RETRY_MS;
    }
    if (!this.followers.has(instrument)) return;
    this.timers.set(
      instrument,
      setTimeout(() => this.ask(instrument), wait),
    );
  }
}
