// A change in percent with an arrow: direction is told by shape and sign as well as by colour.
import { formatPercent } from '../format/number';

export type Direction = 'up' | 'down' | 'same';

export const directionOf = (value: number): Direction => (value > 0 ? 'up' : value < 0 ? 'down' : 'same');

const ARROWS: Record<Direction, string> = { up: '▲', down: '▼', same: '' };

export function Arrow({ direction }: { readonly direction: Direction }) {
  return (
    <span className="arrow" aria-hidden="true">
      {ARROWS[direction]}
    </span>
  );
}

export function Change({ fraction, title }: { readonly fraction: number; readonly title?: string }) {
  const text = formatPercent(fraction);
  const direction = text === '0.00 %' ? 'same' : directionOf(fraction);
  return (
    <span className={`change ${direction}`} title={title}>
      <Arrow direction={direction} />
      {text}
    </span>
  );
}
