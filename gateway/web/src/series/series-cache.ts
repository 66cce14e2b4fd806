// Recently shown series, kept so that going back to a symbol shows its candles at once. Bounded; least recent goes first.
import type { InstrumentId } from '../market/instrument';
import type { Interval } from '../market/interval';
import { CandleSeries } from './candle-series';

export interface SeriesEntry {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  readonly series: CandleSeries;
  /** The venue has nothing older than the first candle. */
  reachedStart: boolean;
  /** False until one answer of the gateway has been merged. */
  loaded: boolean;
  /** Between these open times (seconds) nothing is missing; undefined until an answer was complete. */
  solidFrom: number | undefined;
  solidUntil: number | undefined;
}

export interface CacheLimits {
  readonly series: number;
  /** Candles over all series together. */
  readonly candles: number;
}

const DEFAULT_LIMITS: CacheLimits = { series: 40, candles: 600_000 };

export class SeriesCache {
  private readonly entries = new Map<string, SeriesEntry>();
  private readonly limits: CacheLimits;

  constructor(limits: CacheLimits = DEFAULT_LIMITS) {
    this.limits = limits;
  }

  /** Looks without making the entry recent. */
  peek(instrument: InstrumentId, interval: Interval): SeriesEntry | undefined {
    return this.entries.get(`${instrument}|${interval}`);
  }

  /** The entry, made if absent, now the most recent; others may be dropped to keep the limits. */
  open(instrument: InstrumentId, interval: Interval): SeriesEntry {
    const key = `${instrument}|${interval}`;
    const entry = this.entries.get(key) ?? {
      instrument,
      interval,
      series: new CandleSeries(),
      reachedStart: false,
      loaded: false,
      solidFrom: undefined,
      solidUntil: undefined,
    };
    this.entries.delete(key);
    this.entries.set(key, entry);
    this.evict(key);
    return entry;
  }

  private evict(keep: string): void {
    let candles = 0;
    for (const entry of this.entries.values()) candles += entry.series.candles.length;
    for (const [key, entry] of this.entries) {
      if (this.entries.size <= this.limits.series && candles <= this.limits.candles) return;
      if (key === keep) continue;
      this.entries.delete(key);
      candles -= entry.series.candles.length;
    }
  }
}
