// The user's list of instruments: seeded from what is live, saved once the user has changed it, checked when read.
import { type Instrument, type InstrumentId, isInstrumentId, symbolOf } from '../market/instrument';
import { readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';

export const MAX_WATCHED = 50;
const SEED_LENGTH = 8;
const KEY = 'watchlist.v1';

/** The best known first; anything else follows in the order of the platform. */
const POPULAR = ['BTC', 'ETH', 'SOL', 'XRP', 'BNB', 'DOGE', 'ADA', 'AVAX', 'LINK', 'LTC'];

/** Keeps what is valid of a saved list; undefined when it is no list at all. */
export function checkWatchList(value: unknown): InstrumentId[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return [...new Set(value.filter(isInstrumentId))].slice(0, MAX_WATCHED);
}

const popularity = (instrument: Instrument): number => {
  const rank = POPULAR.indexOf(instrument.symbol.split('/')[0] ?? '');
  return rank === -1 ? POPULAR.length : rank;
};

/** A first list for somebody who has none: live instruments, well-known ones first, each symbol once. */
export function seedFrom(instruments: readonly Instrument[]): InstrumentId[] {
  const seen = new Set<string>();
  return instruments
    .filter((instrument) => instrument.live && instrument.status === 'trading')
    .toSorted((a, b) => popularity(a) - popularity(b))
    .filter(({ id }) => {
      const symbol = symbolOf(id);
      return seen.has(symbol) ? false : seen.add(symbol);
    })
    .slice(0, SEED_LENGTH)
    .map(({ id }) => id);
}

export class WatchList {
  /** Undefined until a saved list was read or a first one could be made. */
  readonly items: Store<readonly InstrumentId[] | undefined>;
  private readonly storage: TextStorage | undefined;

  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
    this.items = new Store<readonly InstrumentId[] | undefined>(readSaved(storage, KEY, checkWatchList));
  }

  /** A first list; it is not saved, so that it follows the platform until the user changes it. */
  seed(instruments: readonly Instrument[]): void {
    if (this.items.get() === undefined) this.items.set(seedFrom(instruments));
  }

  has(id: InstrumentId): boolean {
    return this.items.get()?.includes(id) ?? false;
  }

  /** False when the list is full. */
  add(id: InstrumentId): boolean {
    const items = this.items.get() ?? [];
    if (items.includes(id)) return true;
    if (items.length >= MAX_WATCHED) return false;
    this.save([...items, id]);
    return true;
  }

  remove(id: InstrumentId): void {
    this.save((this.items.get() ?? []).filter((item) => item !== id));
  }

  /** The neighbour of `id` in the list, `step` places further; the ends hold. */
  neighbour(id: InstrumentId | undefined, step: number): InstrumentId | undefined {
    const items = this.items.get() ?? [];
    const at = id === undefined ? -1 : items.indexOf(id);
    if (at === -1) return items[0];
    return items[Math.min(items.length - 1, Math.max(0, at + step))];
  }

  private save(items: readonly InstrumentId[]): void {
    this.items.set(items);
    writeSaved(this.storage, KEY, items);
  }
}
