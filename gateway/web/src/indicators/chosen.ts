// The list of indicators on the chart: add, change, remove; saved in the browser and checked when read.
import { readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';
import {
  type ChosenIndicator,
  chosenKey,
  INDICATORS,
  type IndicatorKind,
  specOf,
  withDefaults,
} from './catalog';

/** More would leave no room for the candles. */
export const MAX_CHOSEN = 8;
const KEY = 'indicators.v1';

function checkOne(value: unknown): ChosenIndicator | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, params } = value as Record<string, unknown>;
  const spec = INDICATORS.find((item) => item.kind === kind);
  if (spec === undefined || !Array.isArray(params) || params.length !== spec.params.length) return undefined;
  const fits = spec.params.every((param, i) => {
    const number: unknown = params[i];
    return typeof number === 'number' && number >= param.min && number <= param.max;
  });
  return fits ? { kind: spec.kind, params: params as number[] } : undefined;
}

/** Keeps what is valid of a saved list; undefined when it is no list at all. */
export function checkChosen(value: unknown): ChosenIndicator[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const found = value.map(checkOne).filter((item) => item !== undefined);
  return unique(found).slice(0, MAX_CHOSEN);
}

const unique = (list: readonly ChosenIndicator[]): ChosenIndicator[] => [
  ...new Map(list.map((item) => [chosenKey(item), item])).values(),
];

export class ChosenIndicators {
  readonly list: Store<readonly ChosenIndicator[]>;
  private readonly storage: TextStorage | undefined;

  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
    this.list = new Store<readonly ChosenIndicator[]>(readSaved(storage, KEY, checkChosen) ?? []);
  }

  /** Adds with default parameters; when that one is there already, with the next free first parameter. */
  add(kind: IndicatorKind): void {
    const list = this.list.get();
    const [first, ...rest] = withDefaults(kind).params;
    const keys = new Set(list.map(chosenKey));
    let next: ChosenIndicator = withDefaults(kind);
    for (let n = 2; keys.has(chosenKey(next)); n += 1) {
      if (first === undefined || first * n > (specOf(kind).params[0]?.max ?? 0)) return;
      next = { kind, params: [first * n, ...rest] };
    }
    this.save([...list, next]);
  }

  /** Adds one with its parameters; it is what was asked for last, so the oldest makes room for it. */
  put(chosen: ChosenIndicator): void {
    const key = chosenKey(chosen);
    const list = this.list.get();
    if (list.some((item) => chosenKey(item) === key)) return;
    this.save([...list.slice(-(MAX_CHOSEN - 1)), chosen]);
  }

  removeKind(kind: IndicatorKind): void {
    this.save(this.list.get().filter((item) => item.kind !== kind));
  }

  removeAll(): void {
    this.save([]);
  }

  change(key: string, params: readonly number[]): void {
    this.save(this.list.get().map((item) => (chosenKey(item) === key ? { ...item, params } : item)));
  }

  remove(key: string): void {
    this.save(this.list.get().filter((item) => chosenKey(item) !== key));
  }

  /** Removes all of a kind, or adds one if there is none. */
  toggle(kind: IndicatorKind): void {
    const list = this.list.get();
    const others = list.filter((item) => item.kind !== kind);
    if (others.length === list.length) this.add(kind);
    else this.save(others);
  }

  private save(list: readonly ChosenIndicator[]): void {
    const checked = checkChosen(list) ?? [];
    this.list.set(checked);
    writeSaved(this.storage, KEY, checked);
  }
}
