// Curves of a backtest as SVG paths in a box of a given size.

export interface CurveBox {
  readonly width: number;
  readonly height: number;
  /** The values at the bottom and at the top. */
  readonly low: number;
  readonly high: number;
}

const rounded = (value: number): string => value.toFixed(1);

/** `M x y L x y …`; empty for fewer than two values. */
export function linePath(values: readonly number[], { width, height, low, high }: CurveBox): string {
  if (values.length < 2) return '';
  const span = high - low || 1;
  return values
    .map((value, index) => {
      const x = (index / (values.length - 1)) * width;
      const y = height - ((value - low) / span) * height;
      return `${index === 0 ? 'M' : 'L'}${rounded(x)} ${rounded(y)}`;
    })
    .join('');
}

/** The same, closed down to a level: an area. */
export function areaPath(values: readonly number[], box: CurveBox, level: number): string {
  const line = linePath(values, box);
  if (line === '') return '';
  const span = box.high - box.low || 1;
  const y = rounded(box.height - ((level - box.low) / span) * box.height);
  return `${line}L${rounded(box.width)} ${y}L0 ${y}Z`;
}

/** Lowest and highest of all lists, with a little room. */
export function rangeOf(...lists: readonly (readonly number[])[]): { low: number; high: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const list of lists)
    for (const value of list) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  if (low > high) return { low: 0, high: 1 };
  const room = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
  return { low: low - room, high: high + room };
}
