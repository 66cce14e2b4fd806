// A backtest as the page shows it, read from a card's summary or from the kept report; what is not there stays unknown.
import type { Json } from '../api/decode';

export interface CurvePoint {
  /** Epoch milliseconds. */
  readonly time: number;
  readonly equity: number;
  /** Below the highest point so far, as a fraction of it. */
  readonly drawdown: number;
  readonly benchmark: number | undefined;
}

export interface ReportFill {
  /** Epoch milliseconds. */
  readonly time: number;
  readonly direction: 'buy' | 'sell';
  readonly price: number;
}

export type LookAhead =
  | { readonly verdict: 'clean'; readonly text: string }
  | { readonly verdict: 'found' | 'unclear'; readonly text: string };

export interface BacktestReport {
  readonly strategy: string | undefined;
  /** `VENUE:SYMBOL`. */
  readonly market: string | undefined;
  readonly interval: string | undefined;
  readonly commit: string | undefined;
  readonly totalReturn: number | undefined;
  readonly benchmarkReturn: number | undefined;
  readonly maxDrawdown: number | undefined;
  readonly sharpe: number | undefined;
  readonly trades: number | undefined;
  readonly fees: number | undefined;
  readonly endEquity: number | undefined;
  readonly begin: number | undefined;
  readonly end: number | undefined;
  readonly lookAhead: LookAhead | undefined;
  readonly curve: readonly CurvePoint[];
  readonly fills: readonly ReportFill[];
}

const MAX_POINTS = 600;
const MAX_FILLS = 500;
const NS_PER_MS = 1e6;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const asFinite = (value: unknown): number | undefined => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
};

/** The object itself and those that may hold its parts, nearest first. */
function partsOf(body: Json): Json[] {
  const names = ['run', 'document', 'report', 'summary', 'statistics', 'inputs', 'terms'];
  const first = names.flatMap((name) => (isRecord(body[name]) ? [body[name] as Json] : []));
  const second = first.flatMap((part) =>
    names.flatMap((name) => (isRecord(part[name]) ? [part[name] as Json] : [])),
  );
  return [body, ...first, ...second];
}

const numberIn = (parts: readonly Json[], ...names: readonly string[]): number | undefined => {
  for (const name of names)
    for (const part of parts) {
      const value = asFinite(part[name]);
      if (value !== undefined) return value;
    }
  return undefined;
};

const textIn = (parts: readonly Json[], ...names: readonly string[]): string | undefined => {
  for (const name of names)
    for (const part of parts)
      if (typeof part[name] === 'string' && part[name] !== '') return part[name] as string;
  return undefined;
};

const listIn = (parts: readonly Json[], name: string): readonly unknown[] =>
  parts.map((part) => part[name]).find((value): value is unknown[] => Array.isArray(value)) ?? [];

/** At most `most` of a list, evenly, with both ends. */
export function thin<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list];
  const step = (list.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => list[Math.round(index * step)] as T);
}

function curveOf(parts: readonly Json[]): CurvePoint[] {
  const points = listIn(parts, 'curve').flatMap((value): CurvePoint[] => {
    if (!isRecord(value)) return [];
    const time = asFinite(value.time_ns);
    const equity = asFinite(value.equity);
    if (time === undefined || equity === undefined) return [];
    const drawdown = asFinite(value.drawdown) ?? 0;
    return [{ time: time / NS_PER_MS, equity, drawdown, benchmark: asFinite(value.benchmark) }];
  });
  return thin(points, MAX_POINTS);
}

function fillsOf(parts: readonly Json[]): ReportFill[] {
  return listIn(parts, 'fills')
    .slice(0, MAX_FILLS)
    .flatMap((value): ReportFill[] => {
      if (!isRecord(value)) return [];
      const time = asFinite(value.time_ns);
      const price = asFinite(value.price);
      if (time === undefined || price === undefined) return [];
      return [{ time: time / NS_PER_MS, direction: value.direction === 'sell' ? 'sell' : 'buy', price }];
    });
}

function lookAheadOf(parts: readonly Json[]): LookAhead | undefined {
  const holders = [...parts, ...parts.flatMap(({ checks }) => (isRecord(checks) ? [checks] : []))];
  const found = holders.map((part) => part.look_ahead).find((value) => value !== undefined && value !== null);
  const verdict = isRecord(found) ? found.verdict : found;
  if (!isRecord(found) && typeof verdict !== 'string') return undefined;
  const detail: Json = isRecord(found) ? found : {};
  switch (verdict) {
    case 'clean':
      return { verdict: 'clean', text: 'No look-ahead: decisions do not use the future' };
    case 'found':
      return { verdict: 'found', text: 'Look-ahead found: decisions use data that came later' };
    case 'not_deterministic':
      return { verdict: 'unclear', text: 'Not deterministic: two runs decide differently' };
    default: {
      const reason = typeof detail.reason === 'string' ? `: ${detail.reason}` : '';
      return { verdict: 'unclear', text: `Look-ahead could not be checked${reason}` };
    }
  }
}

function marketOf(parts: readonly Json[]): string | undefined {
  const [venue, symbol] = [textIn(parts, 'venue'), textIn(parts, 'symbol')];
  return textIn(parts, 'market') ?? (venue && symbol ? `${venue}:${symbol}` : undefined);
}

const secondsOf = (ns: number | undefined): string | undefined =>
  ns === undefined ? undefined : `${Math.round(ns / 1e9)}s`;

export function readReport(body: unknown): BacktestReport {
  const parts = isRecord(body) ? partsOf(body) : [];
  const begin = numberIn(parts, 'begin_ns');
  const end = numberIn(parts, 'end_ns');
  return {
    strategy: textIn(parts, 'strategy'),
    market: marketOf(parts),
    interval: textIn(parts, 'interval') ?? secondsOf(numberIn(parts, 'interval_ns')),
    commit: textIn(parts, 'commit'),
    totalReturn: numberIn(parts, 'total_return'),
    benchmarkReturn: numberIn(parts, 'benchmark_return'),
    maxDrawdown: numberIn(parts, 'max_drawdown'),
    sharpe: numberIn(parts, 'sharpe'),
    trades: numberIn(parts, 'round_trips', 'trades'),
    fees: numberIn(parts, 'fees'),
    endEquity: numberIn(parts, 'end_equity'),
    begin: begin === undefined ? undefined : begin / NS_PER_MS,
    end: end === undefined ? undefined : end / NS_PER_MS,
    lookAhead: lookAheadOf(parts),
    curve: curveOf(parts),
    fills: fillsOf(parts),
  };
}

/** What the first does not know is taken from the second. */
export function mergeReports(first: BacktestReport, second: BacktestReport | undefined): BacktestReport {
  if (second === undefined) return first;
  const known = Object.entries(first).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return { ...second, ...(Object.fromEntries(known) as Partial<BacktestReport>) };
}
