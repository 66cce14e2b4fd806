// Equity beside holding, and the drawdown below: two small curves without any library.
import { useMemo } from 'react';
import { formatFixed, formatPercent } from '../format/number';
import { formatOpenTime } from '../format/time';
import type { BacktestReport } from './backtest-report';
import { areaPath, linePath, rangeOf } from './curve-path';

const WIDTH = 320;
const EQUITY = 84;
const DRAWDOWN = 34;
const DAY = 86_400;

interface EquityCurveProps {
  readonly report: BacktestReport;
  readonly loading: boolean;
}

export function EquityCurve({ report, loading }: EquityCurveProps) {
  const { curve } = report;
  const paths = useMemo(() => {
    const equity = curve.map((point) => point.equity);
    const holding = curve.map((point) => point.benchmark ?? Number.NaN);
    const complete = holding.every(Number.isFinite);
    const drawdown = curve.map((point) => -point.drawdown);
    const range = rangeOf(equity, complete ? holding : []);
    const box = { width: WIDTH, height: EQUITY, ...range };
    const deepest = Math.min(...drawdown, -0.001);
    const below = { width: WIDTH, height: DRAWDOWN, low: deepest * 1.08, high: 0 };
    return {
      line: linePath(equity, box),
      area: areaPath(equity, box, range.low),
      holding: complete ? linePath(holding, box) : '',
      drawdown: areaPath(drawdown, below, 0),
      deepest,
    };
  }, [curve]);

  if (curve.length < 2)
    return loading ? <span className="skeleton curve-skeleton" aria-hidden="true" /> : null;
  const first = curve[0];
  const last = curve.at(-1);
  const day = (ms: number | undefined) => (ms === undefined ? '' : formatOpenTime(ms / 1000, DAY));
  return (
    <figure className="curves" data-testid="curves">
      <svg
        viewBox={`0 0 ${WIDTH} ${EQUITY}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Equity from ${formatFixed(first?.equity ?? 0, 2)} to ${formatFixed(last?.equity ?? 0, 2)}`}
      >
        <path className="equity-area" d={paths.area} />
        {paths.holding !== '' && <path className="holding-line" d={paths.holding} />}
        <path className="equity-line" d={paths.line} />
      </svg>
      <svg
        viewBox={`0 0 ${WIDTH} ${DRAWDOWN}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Deepest drawdown ${formatPercent(paths.deepest)}`}
      >
        <path className="drawdown-area" d={paths.drawdown} />
      </svg>
      <figcaption>
        <span>{day(first?.time)}</span>
        <span className="curve-key">
          <i data-line="equity" /> Strategy
          {paths.holding !== '' && (
            <>
              <i data-line="holding" /> Holding
            </>
          )}
          <i data-line="drawdown" /> Drawdown
        </span>
        <span>{day(last?.time)}</span>
      </figcaption>
    </figure>
  );
}
