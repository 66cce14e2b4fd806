// The path of a sparkline: prices scaled into a box, with room for the stroke.

const PAD = 2;

export function sparkPath(values: readonly number[], width: number, height: number): string {
  if (values.length < 2) return '';
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const stepX = width / (values.length - 1);
  return values
    .map((value, i) => {
      const share = span === 0 ? 0.5 : (value - low) / span;
      const x = (i * stepX).toFixed(1);
      const y = (height - PAD - share * (height - 2 * PAD)).toFixed(1);
      return `${i === 0 ? 'M' : 'L'}${x} ${y}`;
    })
    .join('');
}
