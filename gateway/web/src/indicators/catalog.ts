// The indicators that the platform computes: their parameters, where they are drawn, how their outputs look.

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

const length = (initial: number, name = 'Length', min = 1): ParamSpec => ({
  name,
  initial,
  min,
  max: 500,
  step: 1,
});

const number = (name: string, initial: number, step: number): ParamSpec => ({
  name,
  initial,
  min: step,
  max: 10,
  step,
});

const LIST = [
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
    kind: 'wma',
    label: 'WMA',
    title: 'Weighted moving average',
    params: [length(20)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'dema',
    label: 'DEMA',
    title: 'Double exponential moving average',
    params: [length(20)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'tema',
    label: 'TEMA',
    title: 'Triple exponential moving average',
    params: [length(20)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'hma',
    label: 'HMA',
    title: 'Hull moving average',
    params: [length(20)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'kama',
    label: 'KAMA',
    title: 'Kaufman adaptive moving average',
    params: [length(10)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'bollinger',
    label: 'Bollinger',
    title: 'Bollinger bands',
    params: [length(20), number('Deviations', 2, 0.5)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'keltner',
    label: 'Keltner',
    title: 'Keltner channels',
    params: [length(20, 'Average'), length(10, 'ATR'), number('Ranges', 2, 0.5)],
    placement: 'overlay',
    guides: [],
  },
  {
    kind: 'donchian',
    label: 'Donchian',
    title: 'Donchian channel',
    params: [length(20)],
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
    kind: 'psar',
    label: 'PSAR',
    title: 'Parabolic stop and reverse',
    params: [number('Step', 0.02, 0.01), number('Most', 0.2, 0.01)],
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
    kind: 'stochastic',
    label: 'Stochastic',
    title: 'Stochastic oscillator',
    params: [length(14), length(3, 'Slowing'), length(3, '%D')],
    placement: 'pane',
    guides: [20, 80],
  },
  {
    kind: 'stoch_rsi',
    label: 'StochRSI',
    title: 'Stochastic of the RSI',
    params: [length(14, 'RSI'), length(14, 'Range'), length(3, '%K'), length(3, '%D')],
    placement: 'pane',
    guides: [20, 80],
  },
  {
    kind: 'williams_r',
    label: '%R',
    title: 'Williams %R',
    params: [length(14)],
    placement: 'pane',
    guides: [-80, -20],
  },
  {
    kind: 'cci',
    label: 'CCI',
    title: 'Commodity channel index',
    params: [length(20)],
    placement: 'pane',
    guides: [-100, 100],
  },
  {
    kind: 'momentum',
    label: 'Momentum',
    title: 'Change over some candles',
    params: [length(10)],
    placement: 'pane',
    guides: [0],
  },
  {
    kind: 'roc',
    label: 'ROC',
    title: 'Rate of change, percent',
    params: [length(10)],
    placement: 'pane',
    guides: [0],
  },
  {
    kind: 'adx',
    label: 'ADX',
    title: 'Directional movement: ADX, +DI, −DI',
    params: [length(14)],
    placement: 'pane',
    guides: [25],
  },
  {
    kind: 'aroon',
    label: 'Aroon',
    title: 'Candles since the extremes',
    params: [length(25)],
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
  {
    kind: 'stddev',
    label: 'StdDev',
    title: 'Standard deviation',
    params: [length(20)],
    placement: 'pane',
    guides: [],
  },
  {
    kind: 'linreg_slope',
    label: 'Slope',
    title: 'Slope of the regression line',
    params: [length(14, 'Length', 2)],
    placement: 'pane',
    guides: [0],
  },
  {
    kind: 'obv',
    label: 'OBV',
    title: 'On-balance volume',
    params: [],
    placement: 'pane',
    guides: [],
  },
  {
    kind: 'ad',
    label: 'A/D',
    title: 'Accumulation/distribution line',
    params: [],
    placement: 'pane',
    guides: [],
  },
  {
    kind: 'cmf',
    label: 'CMF',
    title: 'Chaikin money flow',
    params: [length(20)],
    placement: 'pane',
    guides: [0],
  },
  {
    kind: 'mfi',
    label: 'MFI',
    title: 'Money flow index',
    params: [length(14)],
    placement: 'pane',
    guides: [20, 80],
  },
] as const;

export type IndicatorKind = (typeof LIST)[number]['kind'];

export const INDICATORS: readonly IndicatorSpec[] = LIST;

const RUNNING_SUMS: ReadonlySet<IndicatorKind> = new Set(['obv', 'ad']);
const PRICE_PANES: ReadonlySet<IndicatorKind> = new Set([
  'macd',
  'atr',
  'momentum',
  'stddev',
  'linreg_slope',
]);

/** Sums from where its values begin: only values of one answer have the same level. */
export const isRunningSum = (kind: IndicatorKind): boolean => RUNNING_SUMS.has(kind);

/** Is in the unit of the price, so it has as many digits. */
export const followsPrice = (kind: IndicatorKind): boolean =>
  specOf(kind).placement === 'overlay' || PRICE_PANES.has(kind);

const byKind: ReadonlyMap<IndicatorKind, IndicatorSpec> = new Map(
  INDICATORS.map((spec) => [spec.kind, spec]),
);

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

const OUTPUT_ORDER = [
  'macd',
  'signal',
  'histogram',
  'upper',
  'middle',
  'lower',
  'k',
  'd',
  'adx',
  'plus_di',
  'minus_di',
];

/** Outputs as traders list them, whatever order the gateway has; unknown ones come first. */
export const inOrder = <T>(outputs: Iterable<readonly [name: string, values: T]>): (readonly [string, T])[] =>
  [...outputs].sort(([a], [b]) => OUTPUT_ORDER.indexOf(a) - OUTPUT_ORDER.indexOf(b));
