// Parameters by name, as the assistant gives them, turned into those of the catalog in their order.
import { type ChosenIndicator, INDICATORS, type IndicatorSpec, type ParamSpec, specOf } from './catalog';

const ALIASES: Readonly<Record<string, readonly string[]>> = {
  length: ['length', 'period', 'window', 'n'],
  fast: ['fast', 'fastlength', 'fastperiod'],
  slow: ['slow', 'slowlength', 'slowperiod'],
  signal: ['signal', 'signallength', 'signalperiod'],
  deviations: ['deviations', 'deviation', 'stddev', 'std', 'k', 'mult', 'multiplier'],
  average: ['average', 'ema', 'emalength', 'length', 'period'],
  atr: ['atr', 'atrlength', 'atrperiod'],
  ranges: ['ranges', 'multiplier', 'mult'],
  slowing: ['slowing', 'smooth', 'smoothk', 'kslowing'],
  d: ['d', 'dlength', 'dperiod', 'smoothd'],
  k: ['k', 'klength', 'smoothk'],
  rsi: ['rsi', 'rsilength', 'rsiperiod', 'length', 'period'],
  range: ['range', 'stoch', 'stochlength', 'stochperiod'],
  step: ['step', 'start', 'increment'],
  most: ['most', 'max', 'maximum'],
};

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '');

const asParam = (value: unknown): number | undefined => {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
};

function namedValue(spec: ParamSpec, given: ReadonlyMap<string, number>): number | undefined {
  const own = plain(spec.name);
  for (const name of ALIASES[own] ?? [own]) {
    const value = given.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

const inRange = ({ min, max }: ParamSpec, value: number): number => Math.min(max, Math.max(min, value));

/** Undefined for an indicator that the page does not have; what is not given or not understood is the default. */
export function chosenByName(name: string, params: unknown): ChosenIndicator | undefined {
  const wanted = plain(name);
  const found = INDICATORS.find(({ kind, label }) => plain(kind) === wanted || plain(label) === wanted);
  if (found === undefined) return undefined;
  return { kind: found.kind, params: Array.isArray(params) ? inOrder(found, params) : byName(found, params) };
}

function inOrder({ params: specs }: IndicatorSpec, params: readonly unknown[]): number[] {
  return specs.map((spec, index) => inRange(spec, asParam(params[index]) ?? spec.initial));
}

function byName({ kind }: IndicatorSpec, params: unknown): number[] {
  const specs = specOf(kind).params;
  const given = new Map<string, number>();
  for (const [key, value] of Object.entries(typeof params === 'object' && params !== null ? params : {})) {
    const number = asParam(value);
    if (number !== undefined) given.set(plain(key), number);
  }
  // One parameter and one value: whatever its name is, it is that one.
  const [only] = given.values();
  if (specs.length === 1 && given.size === 1 && only !== undefined)
    return specs.map((spec) => inRange(spec, only));
  return specs.map((spec) => inRange(spec, namedValue(spec, given) ?? spec.initial));
}
