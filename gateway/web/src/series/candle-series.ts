// The candles of one instrument and interval in memory: sorted, one per open time, newest revision.
import { type Candle, supersedes } from '../market/candle';

/** What a merge did, in the words a chart needs. */
export type SeriesChange =
  /** Only candles from `since` on were replaced or appended at the end. */
  | { readonly type: 'updated'; readonly since: number; readonly changed: number }
  /** Older candles came in front; nothing else changed. */
  | { readonly type: 'prepended'; readonly count: number }
  /** Anything else: draw it anew. */
  | { readonly type: 'reset' };

/** Index of the first candle at or after `time`. */
export function indexAt(candles: readonly Candle[], time: number): number {
  let low = 0;
  let high = candles.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((candles[middle] as Candle).time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class CandleSeries {
  private rows: Candle[] = [];
  private readonly listeners = new Set<(change: SeriesChange) => void>();

  get candles(): readonly Candle[] {
    return this.rows;
  }

  get last(): Candle | undefined {
    return this.rows.at(-1);
  }

  get first(): Candle | undefined {
    return this.rows[0];
  }

  at(time: number): Candle | undefined {
    const found = this.rows[indexAt(this.rows, time)];
    return found?.time === time ? found : undefined;
  }

  subscribe(listener: (change: SeriesChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Takes in candles (ascending by time); says what changed, or undefined when all were known. */
  merge(incoming: readonly Candle[]): SeriesChange | undefined {
    const earliest = incoming[0];
    if (earliest === undefined) return undefined;
    const from = indexAt(this.rows, earliest.time);
    const lastBefore = this.last?.time ?? Number.NEGATIVE_INFINITY;
    const firstBefore = this.first?.time;
    const tail = from === this.rows.length ? [] : this.rows.splice(from);
    const result = mergeSorted(tail, incoming);
    for (const row of result.rows) this.rows.push(row);

    if (result.changed === 0) return undefined;
    let change: SeriesChange = { type: 'reset' };
    if (result.added === 0 || result.firstAdded > lastBefore) {
      change = { type: 'updated', since: result.firstChanged, changed: result.changed };
    } else if (firstBefore !== undefined && result.lastChanged < firstBefore) {
      change = { type: 'prepended', count: result.added };
    }
    this.tell(change);
    return change;
  }

  /** Throws all away and starts from these candles, for example after a gap that is too long to fill. */
  replace(candles: readonly Candle[]): void {
    this.rows = [...candles];
    this.tell({ type: 'reset' });
  }

  /** Drops the oldest candles beyond `limit`. */
  keepNewest(limit: number): void {
    if (this.rows.length <= limit) return;
    this.rows = this.rows.slice(this.rows.length - limit);
    this.tell({ type: 'reset' });
  }

  private tell(change: SeriesChange): void {
    for (const listener of [...this.listeners]) listener(change);
  }
}

interface Merged {
  readonly rows: Candle[];
  readonly changed: number;
  readonly added: number;
  readonly firstAdded: number;
  readonly firstChanged: number;
  readonly lastChanged: number;
}

/** One pass over both lists; where they meet, `supersedes` decides. */
function mergeSorted(known: readonly Candle[], incoming: readonly Candle[]): Merged {
  const rows: Candle[] = [];
  let changed = 0;
  let added = 0;
  let firstAdded = Number.POSITIVE_INFINITY;
  let firstChanged = Number.POSITIVE_INFINITY;
  let lastChanged = Number.NEGATIVE_INFINITY;
  let k = 0;
  for (const candle of incoming) {
    while (k < known.length && (known[k] as Candle).time < candle.time) rows.push(known[k++] as Candle);
    const same = known[k]?.time === candle.time ? known[k++] : undefined;
    if (same !== undefined && !supersedes(candle, same)) {
      rows.push(same);
      continue;
    }
    rows.push(candle);
    changed += 1;
    firstChanged = Math.min(firstChanged, candle.time);
    lastChanged = candle.time;
    if (same === undefined) {
      added += 1;
      firstAdded = Math.min(firstAdded, candle.time);
    }
  }
  while (k < known.length) rows.push(known[k++] as Candle);
  return { rows, changed, added, firstAdded, firstChanged, lastChanged };
}
