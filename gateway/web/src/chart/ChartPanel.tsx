// The centre of the page: symbol, timeframes, indicators, chart with its legends and notices.
import { useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { IndicatorMenu } from '../indicators/IndicatorMenu';
import { symbolOf } from '../market/instrument';
import { intervalName } from '../market/interval';
import type { SeriesSession } from '../series/series-session';
import { useStore } from '../state/store';
import { CloseIcon, ToLatestIcon } from '../ui/icons';
import { usePrecision } from '../watchlist/use-precision';
import { isEmpty, NO_ANNOTATIONS } from './annotations';
import { ChartFooter } from './ChartFooter';
import { ChartNotices } from './ChartNotices';
import { ChartSkeleton } from './ChartSkeleton';
import { moveByKey } from './chart-keys';
import type { ChartSurface } from './chart-surface';
import { IndicatorLegend } from './IndicatorLegend';
import { Legend } from './Legend';
import { SymbolHeader } from './SymbolHeader';
import { TimeframeBar } from './TimeframeBar';
import { useChartSurface } from './use-chart-surface';
import './chart.css';
import './marks.css';

export function ChartPanel() {
  const platform = usePlatform();
  const [host, setHost] = useState<HTMLDivElement | null>(null);
  const surface = useChartSurface(host, platform);
  const session = useStore(platform.current.session);
  return (
    <main className="panel chart-panel" data-panel="chart">
      <SymbolHeader />
      <div className="chart-toolbar">
        <TimeframeBar />
        <IndicatorMenu />
      </div>
      <div className="chart-area">
        <div
          ref={setHost}
          className="chart-host"
          data-testid="chart"
          role="application"
          aria-roledescription="candlestick chart"
          aria-label={describe(session)}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the chart
          tabIndex={0}
          onKeyDown={(event) => surface !== undefined && moveByKey(event, surface)}
        />
        {session === undefined ? (
          <ChartSkeleton />
        ) : (
          <Overlays
            key={`${session.entry.instrument}|${session.entry.interval}`}
            session={session}
            surface={surface}
            host={host}
          />
        )}
      </div>
      <ChartFooter />
    </main>
  );
}

interface OverlaysProps {
  readonly session: SeriesSession;
  readonly surface: ChartSurface | undefined;
  readonly host: HTMLElement | null;
}

function Overlays({ session, surface, host }: OverlaysProps) {
  const { indicatorBook, annotations } = usePlatform();
  const { instrument } = session.entry;
  const marked = useStore(annotations.book).get(instrument);
  const drawn = useStore(indicatorBook.drawn);
  const { phase, loadingOlder } = useStore(session.state);

  const precision = usePrecision(session.entry.instrument, session.entry.series.last?.close);

  useEffect(() => surface?.indicators.set(drawn), [surface, drawn]);
  useEffect(() => surface?.marks.set(marked ?? NO_ANNOTATIONS), [surface, marked]);
  useEffect(() => surface?.setPrecision(precision.price), [surface, precision.price]);

  return (
    <>
      {phase === 'loading' && <ChartSkeleton />}
      {surface !== undefined && host !== null && (
        <div className="legends">
          <Legend entry={session.entry} surface={surface} />
          <IndicatorLegend entry={session.entry} surface={surface} host={host} drawn={drawn} />
        </div>
      )}
      {marked !== undefined && !isEmpty(marked) && (
        <button
          type="button"
          className="clear-marks"
          data-testid="clear-marks"
          title="Remove markers and levels from this chart"
          onClick={() => annotations.clear(instrument)}
        >
          Marks
          <CloseIcon />
        </button>
      )}
      <div className="older-bar" data-active={loadingOlder} aria-hidden="true" />
      <ChartNotices session={session} />
      {surface !== undefined && <ToLatest surface={surface} />}
    </>
  );
}

function ToLatest({ surface }: { readonly surface: ChartSurface }) {
  const atLatest = useStore(surface.atLatest);
  if (atLatest) return null;
  return (
    <button
      type="button"
      className="to-latest"
      aria-label="Go to the newest candle"
      title="Go to the newest candle (End)"
      onClick={surface.showLatest}
    >
      <ToLatestIcon />
    </button>
  );
}

function describe(session: SeriesSession | undefined): string {
  if (session === undefined) return 'Chart';
  const { instrument, interval } = session.entry;
  return `${symbolOf(instrument)}, candles of ${intervalName(interval)}. Arrow keys move, plus and minus zoom, End goes to the newest.`;
}
