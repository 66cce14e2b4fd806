// The last 24 hours of an instrument as a small line.
import { memo } from 'react';
import { sparkPath } from './spark-path';

const WIDTH = 64;
const HEIGHT = 24;

interface SparklineProps {
  readonly closes: readonly number[];
  readonly rising: boolean;
}

export const Sparkline = memo(function Sparkline({ closes, rising }: SparklineProps) {
  return (
    <svg
      className={`spark ${rising ? 'up' : 'down'}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      aria-hidden="true"
    >
      <path d={sparkPath(closes, WIDTH, HEIGHT)} />
    </svg>
  );
});
