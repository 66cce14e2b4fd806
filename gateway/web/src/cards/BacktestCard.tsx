// A backtest: its figures, equity and drawdown, whether it looks ahead, and where to read and see more.
import { useEffect, useMemo, useState } from 'react';
import { type ApiError, toApiError } from '../api/api-error';
import type { Json } from '../api/decode';
import { usePlatform } from '../app/platform-context';
import { formatCount, formatFixed, formatPercent } from '../format/number';
import { isInstrumentId, symbolOf } from '../market/instrument';
import { intervalLabel, parseInterval } from '../market/interval';
import { Change } from '../ui/Change';
import { ChartIcon, CheckIcon, OpenIcon, WarningIcon } from '../ui/icons';
import { Failure } from '../ui/Problem';
import { type BacktestReport, type LookAhead, mergeReports, readReport } from './backtest-report';
import { EquityCurve } from './EquityCurve';
import { ReportDialog } from './ReportDialog';

interface BacktestCardProps {
  readonly id: string;
  readonly strategy: string;
  readonly summary: Json;
}

type Kept = { readonly report?: BacktestReport; readonly error?: ApiError };

function useReport(id: string, summary: Json): { report: BacktestReport; kept: Kept; reload: () => void } {
  const { panels } = usePlatform();
  const [kept, setKept] = useState<Kept>({});
  const [round, setRound] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` asks again
  useEffect(() => {
    let gone = false;
    panels.report(id).then(
      (report) => gone || setKept({ report }),
      (error: unknown) => gone || setKept({ error: toApiError(error) }),
    );
    return () => {
      gone = true;
    };
  }, [panels, id, round]);
  const report = useMemo(() => mergeReports(readReport(summary), kept.report), [summary, kept.report]);
  return { report, kept, reload: () => setRound(round + 1) };
}

export function BacktestCard({ id, strategy, summary }: BacktestCardProps) {
  const { report, kept, reload } = useReport(id, summary);
  const [reading, setReading] = useState(false);
  const name = report.strategy ?? strategy;
  const symbol = isInstrumentId(report.market) ? symbolOf(report.market) : undefined;
  const interval = parseInterval(report.interval ?? '');
  return (
    <section
      className="card backtest-card"
      data-testid="card-backtest"
      data-run={id}
      aria-label={`Backtest of ${name}`}
    >
      <header>
        <h3>{name}</h3>
        <span className="card-about">
          {[symbol, interval === undefined ? report.interval : intervalLabel(interval)]
            .filter((part) => part !== undefined)
            .join(' · ')}
        </span>
        <Verdict lookAhead={report.lookAhead} />
      </header>
      <Figures report={report} />
      <EquityCurve report={report} loading={kept.report === undefined && kept.error === undefined} />
      {kept.error !== undefined && <Failure error={kept.error} onRetry={reload} />}
      <footer>
        <button
          type="button"
          className="button small"
          data-testid="open-report"
          onClick={() => setReading(true)}
        >
          <OpenIcon />
          Open report
        </button>
        <TradesButton id={id} report={report} />
      </footer>
      {reading && <ReportDialog id={id} title={name} onClose={() => setReading(false)} />}
    </section>
  );
}

function Verdict({ lookAhead }: { readonly lookAhead: LookAhead | undefined }) {
  if (lookAhead === undefined)
    return (
      <span className="verdict" data-verdict="unclear" title="Ask for a backtest with the look-ahead check">
        <WarningIcon />
        Not checked
      </span>
    );
  const words = { clean: 'No look-ahead', found: 'Look-ahead', unclear: 'Unclear' }[lookAhead.verdict];
  return (
    <span className="verdict" data-verdict={lookAhead.verdict} data-testid="verdict" title={lookAhead.text}>
      {lookAhead.verdict === 'clean' ? <CheckIcon /> : <WarningIcon />}
      {words}
    </span>
  );
}

function Figures({ report }: { readonly report: BacktestReport }) {
  const unknown = '–';
  return (
    <dl className="figures">
      <div>
        <dt>Return</dt>
        <dd>{report.totalReturn === undefined ? unknown : <Change fraction={report.totalReturn} />}</dd>
      </div>
      <div title="What holding the instrument instead would have made">
        <dt>Holding</dt>
        <dd>
          {report.benchmarkReturn === undefined ? unknown : <Change fraction={report.benchmarkReturn} />}
        </dd>
      </div>
      <div>
        <dt>Max drawdown</dt>
        <dd>{report.maxDrawdown === undefined ? unknown : formatPercent(-Math.abs(report.maxDrawdown))}</dd>
      </div>
      <div>
        <dt>Sharpe</dt>
        <dd>{report.sharpe === undefined ? unknown : formatFixed(report.sharpe, 2)}</dd>
      </div>
      <div>
        <dt>Trades</dt>
        <dd>{report.trades === undefined ? unknown : formatCount(report.trades)}</dd>
      </div>
      <div>
        <dt>Fees</dt>
        <dd>{report.fees === undefined ? unknown : formatFixed(report.fees, 2)}</dd>
      </div>
    </dl>
  );
}

/** Puts the fills of the run on the chart of its market. */
function TradesButton({ id, report }: { readonly id: string; readonly report: BacktestReport }) {
  const { view, annotations } = usePlatform();
  const { fills, market } = report;
  const [shown, setShown] = useState(false);
  if (fills.length === 0 || !isInstrumentId(market)) return null;
  const show = () => {
    const interval = parseInterval(report.interval ?? '');
    view.symbol.set(market);
    if (interval !== undefined) view.interval.set(interval);
    annotations.setMarkers(
      market,
      `backtest ${id.slice(-6)}`,
      fills.map(({ time, direction }) => ({
        time: Math.floor(time / 1000),
        place: direction === 'buy' ? 'below' : 'above',
        text: direction === 'buy' ? 'B' : 'S',
        tone: direction === 'buy' ? 'up' : 'down',
      })),
    );
    setShown(true);
  };
  return (
    <button type="button" className="button small" data-testid="show-trades" onClick={show}>
      <ChartIcon />
      {shown ? 'Trades are on the chart' : 'Show trades on chart'}
    </button>
  );
}
