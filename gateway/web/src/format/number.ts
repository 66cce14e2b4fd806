// Numbers as traders read them: the venue's own precision, grouped thousands, fixed width.

/** Signs of the same width as digits in tabular figures. */
const MINUS = '\u2212';

const MAX_DECIMALS = 18;

/** Decimals that a step needs: `0.010` → 2, `5` → 0, `1e-7` → 7. */
export function decimalsOf(step: string): number {
  const match = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(step.trim());
  if (!match) return 2;
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  return Math.min(MAX_DECIMALS, Math.max(0, fraction.length - Number(match[3] ?? 0)));
}

/** Decimals that show a price well as long as its instrument is not known. */
export function guessDecimals(price: number): number {
  const size = Math.abs(price);
  if (size === 0 || size >= 100) return 2;
  return Math.min(10, Math.max(2, 4 - Math.floor(Math.log10(size))));
}

const formats = new Map<number, Intl.NumberFormat>();

function fixed(decimals: number): Intl.NumberFormat {
  const known = formats.get(decimals);
  if (known) return known;
  const made = new Intl.NumberFormat('en-US', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  formats.set(decimals, made);
  return made;
}

export const formatFixed = (value: number, decimals: number): string =>
  fixed(decimals).format(value).replace('-', MINUS);

const compact = new Intl.NumberFormat('en-US', {
  notation: 'compact',
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

/** Volumes: exact while small, `12.34K` and so on from ten thousand. */
export const formatVolume = (value: number): string =>
  value < 10_000 ? formatFixed(value, value < 100 ? 4 : 2) : compact.format(value);

/** Sizes of trades and quotes: the venue's precision while it fits into a column. */
export function formatSize(value: number, decimals: number): string {
  if (value >= 1_000_000) return compact.format(value);
  return formatFixed(value, value >= 10_000 ? Math.min(decimals, 1) : decimals);
}

export const formatCount = (value: number): string => fixed(0).format(value);

/** `+1.23 %`; the sign is always shown, a change that rounds to nothing has none. */
export function formatPercent(fraction: number): string {
  const percent = fraction * 100;
  const text = fixed(2).format(Math.abs(percent));
  if (text === '0.00') return '0.00 %';
  return `${percent > 0 ? '+' : MINUS}${text} %`;
}
