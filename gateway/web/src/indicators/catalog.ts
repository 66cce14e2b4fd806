// The indicators that the platform computes: their parameters, where they are drawn, how their outputs look.

export type IndicatorKind = 'sma' | 'ema' | 'bollinger' | 'vwap' | 'rsi' | 'macd' | 'atr';

export interface ParamSpec {
  readonly name: string;
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

export interface IndicatorSpec {
  readonly kind: IndicatorKind;
  readonly label: string;
  readonly title: string;
  readonly params: readonly ParamSpec[];
  readonly placement: 'overlay' | 'pane';
  /** Horizontal guides in the pane. */
  readonly guides: readonly number[];
}

/** An indicator that the user has put on the chart. */
export interface ChosenIndicator {
  readonly kind: IndicatorKind;
  readonly params: readonly number[];
}

const length = (initial: number, name = 'Length'): ParamSpec => ({
  name,
  initial,
  min: 1,
  max: 500,
  step: 1,
});

export const INDICATORS: readonly IndicatorSpec[] = [
  {
    kind: 'sma',
    label: 'SMA',
    title: 'Simple moving average',
    params: [length(20)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'ema',
    label: 'EMA',
    title: 'Exponential moving average',
    params: [length(50)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'bollinger',
    label: 'Bollinger',
    title: 'Bollinger bands',
    params: [length(20), { name: 'Deviations', initial: 2, min: 0.5, max: 10, step: 0.5 }],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'vwap',
    label: 'VWAP',
    title: 'Volume-weighted average price',
    params: [],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'rsi',
    label: 'RSI',
    title: 'Relative strength index',
    params: [length(14)],
    placement: 'pane',
    guides: [30, 70],
  },
  {
    kind: 'macd',
    label: 'MACD',
    title: 'Moving average convergence divergence',
    params: [length(12, 'Fast'), length(26, 'Slow'), length(9, 'Signal')],
    placement: 'pane',
    guides: [],
  },
  {
    kind: 'atr',
    label: 'ATR',
    title: 'Average true range',
    params: [length(14)],
    placement: 'pane',
    guides: [],
  },
];

const byKind = new Map(INDICATORS.map((spec) => [spec.kind, spec]));

export function specOf(kind: IndicatorKind): IndicatorSpec {
  const spec = byKind.get(kind);
  if (spec === undefined) throw new Error(`no indicator ${kind}`);
  return spec;
}

/** Tells chosen indicators apart: the same kind with other parameters is another one. */
export const chosenKey = ({ kind, params }: ChosenIndicator): string => [kind, ...params].join(':');

export const chosenLabel = ({ kind, params }: ChosenIndicator): string =>
  [specOf(kind).label, params.join(' ')].join(' ').trim();

export const withDefaults = (kind: IndicatorKind): ChosenIndicator => ({
  kind,
  params: specOf(kind).params.map((param) => param.initial),
});

/** How an output is drawn; the gateway names its outputs, unknown names are lines. */
export const isHistogram = (output: string): boolean => output === 'histogram' || output === 'hist';

export const isBand = (output: string): boolean => output === 'upper' || output === 'lower';

const OUTPUT_ORDER = ['macd', 'signal', 'histogram', 'upper', 'middle', 'lower'];

/** Outputs as traders list them, whatever order the gateway has; unknown ones come first. */
export const inOrder = <T>(outputs: Iterable<readonly [name: string, values: T]>): (readonly [string, T])[] =>
  [...outputs].sort(([a], [b]) => OUTPUT_ORDER.indexOf(a) - OUTPUT_ORDER.indexOf(b));
