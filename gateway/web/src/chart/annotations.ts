// Markers and levels that the assistant or a card has put on the chart: per symbol, in groups, saved in the browser.
import { asList } from '../api/decode';
import { type InstrumentId, isInstrumentId } from '../market/instrument';
import { readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';
import {
  type ChartLevel,
  type ChartMarker,
  decodeLevel,
  decodeMarker,
  MAX_LEVELS,
  MAX_MARKERS,
} from './chart-action';

export interface Annotations {
  readonly markers: Readonly<Record<string, readonly ChartMarker[]>>;
  readonly levels: Readonly<Record<string, readonly ChartLevel[]>>;
}

type Book = ReadonlyMap<InstrumentId, Annotations>;

export const NO_ANNOTATIONS: Annotations = { markers: {}, levels: {} };
const KEY = 'annotations.v1';
/** The oldest goes first. */
const MAX_SYMBOLS = 6;
const MAX_GROUPS = 8;

export const isEmpty = ({ markers, levels }: Annotations): boolean =>
  Object.keys(markers).length === 0 && Object.keys(levels).length === 0;

/** Replaces a group; an empty one goes. The oldest of too many groups goes too. */
function withGroup<T>(
  groups: Readonly<Record<string, readonly T[]>>,
  name: string,
  items: readonly T[],
): Record<string, readonly T[]> {
  const others = Object.entries(groups).filter(([group]) => group !== name);
  const added: [string, readonly T[]][] = items.length === 0 ? [] : [[name, items]];
  return Object.fromEntries([...others, ...added].slice(-MAX_GROUPS));
}

/** Saved as the wire spells them, so that one check reads both. */
const toWire = (book: Book): unknown =>
  [...book].map(([symbol, { markers, levels }]) => ({
    symbol,
    markers: Object.entries(markers).map(([group, items]) => ({
      group,
      items: items.map((item) => ({ ...item, time: new Date(item.time * 1000).toISOString() })),
    })),
    levels: Object.entries(levels).map(([group, items]) => ({
      group,
      items: items.map((item) => ({ ...item, price: String(item.price) })),
    })),
  }));

function groupsOf<T>(
  value: unknown,
  item: (value: unknown, path: string) => T,
  max: number,
): Record<string, T[]> {
  if (!Array.isArray(value)) return {};
  const pairs = value
    .slice(0, MAX_GROUPS)
    .flatMap((entry: { group?: unknown; items?: unknown }): [string, T[]][] =>
      typeof entry?.group === 'string'
        ? [[entry.group, asList(entry.items, item, 'items').slice(0, max)]]
        : [],
    );
  return Object.fromEntries(pairs);
}

export function checkAnnotations(value: unknown): Book | undefined {
  if (!Array.isArray(value)) return undefined;
  const pairs = value.slice(-MAX_SYMBOLS).flatMap((entry): [InstrumentId, Annotations][] => {
    const { symbol, markers, levels } = (entry ?? {}) as Record<string, unknown>;
    if (!isInstrumentId(symbol)) return [];
    const found = {
      markers: groupsOf(markers, decodeMarker, MAX_MARKERS),
      levels: groupsOf(levels, decodeLevel, MAX_LEVELS),
    };
    return [[symbol, found]];
  });
  return new Map(pairs);
}

export class AnnotationBook {
  readonly book: Store<Book>;
  private readonly storage: TextStorage | undefined;

  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
    this.book = new Store<Book>(readSaved(storage, KEY, checkAnnotations) ?? new Map());
  }

  of(symbol: InstrumentId): Annotations {
    return this.book.get().get(symbol) ?? NO_ANNOTATIONS;
  }

  setMarkers(symbol: InstrumentId, group: string, markers: readonly ChartMarker[]): void {
    const before = this.of(symbol);
    this.save(symbol, {
      ...before,
      markers: withGroup(before.markers, group, markers.slice(0, MAX_MARKERS)),
    });
  }

  setLevels(symbol: InstrumentId, group: string, levels: readonly ChartLevel[]): void {
    const before = this.of(symbol);
    this.save(symbol, { ...before, levels: withGroup(before.levels, group, levels.slice(0, MAX_LEVELS)) });
  }

  readonly clear = (symbol: InstrumentId): void => this.save(symbol, NO_ANNOTATIONS);

  /** For somebody who signs out: what was marked is theirs. */
  readonly clearAll = (): void => {
    this.book.set(new Map());
    writeSaved(this.storage, KEY, []);
  };

  private save(symbol: InstrumentId, annotations: Annotations): void {
    const next = new Map(this.book.get());
    next.delete(symbol);
    if (!isEmpty(annotations)) next.set(symbol, annotations);
    const book: Book = new Map([...next].slice(-MAX_SYMBOLS));
    this.book.set(book);
    writeSaved(this.storage, KEY, toWire(book));
  }
}
