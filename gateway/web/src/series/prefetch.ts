// Fetches the first page of a series that the user is about to open (pointer or focus on its row).
import type { FetchCandles } from '../api/candles';
import type { InstrumentId } from '../market/instrument';
import type { Interval } from '../market/interval';
import { FIRST_PAGE } from './page-size';
import type { SeriesCache } from './series-cache';

/** More hints than this at a time are ignored: a hint is a favour, not a duty. */
const IN_FLIGHT = 2;

export class Prefetch {
  private readonly cache: SeriesCache;
  private readonly fetchCandles: FetchCandles;
  private readonly inFlight = new Set<string>();

  constructor(cache: SeriesCache, fetchCandles: FetchCandles) {
    this.cache = cache;
    this.fetchCandles = fetchCandles;
  }

  readonly hint = (instrument: InstrumentId, interval: Interval): void => {
    const key = `${instrument}|${interval}`;
    if (this.cache.peek(instrument, interval)?.loaded || this.inFlight.has(key)) return;
    if (this.inFlight.size >= IN_FLIGHT) return;
    this.inFlight.add(key);
    this.fetchCandles({ instrument, interval, limit: FIRST_PAGE })
      .then((page) => {
        if (page.history === 'pending') return;
        const entry = this.cache.open(instrument, interval);
        if (entry.loaded) return;
        entry.series.merge(page.candles);
        entry.loaded = true;
        entry.solidFrom = page.candles[0]?.time;
        entry.solidUntil = page.candles.at(-1)?.time;
      })
      // A failed hint costs nothing: opening the symbol asks again and shows the error there.
      .catch(() => undefined)
      .finally(() => this.inFlight.delete(key));
  };
}
