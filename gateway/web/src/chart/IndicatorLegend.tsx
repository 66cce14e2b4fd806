// Names and values of the indicators: overlays below the candle legend, the others at the top of their panes.
import { useSyncExternalStore } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatFixed } from '../format/number';
import { chosenKey, chosenLabel, inOrder, isHistogram, specOf } from '../indicators/catalog';
import type { DrawnIndicator } from '../indicators/indicator-book';
import type { SeriesEntry } from '../series/series-cache';
import { useStore } from '../state/store';
import { CloseIcon } from '../ui/icons';
import { usePrecision } from '../watchlist/use-precision';
import type { ChartSurface } from './chart-surface';
import { usePaneTops } from './use-pane-tops';

interface IndicatorLegendProps {
  readonly entry: SeriesEntry;
  readonly surface: ChartSurface;
  readonly host: HTMLElement;
  readonly drawn: readonly DrawnIndicator[];
}

const RSI_DECIMALS = 1;

export function IndicatorLegend({ entry, surface, host, drawn }: IndicatorLegendProps) {
  const hovered = useStore(surface.crosshair);
  const last = useSyncExternalStore(surface.painted.subscribe, () => entry.series.last);
  const precision = usePrecision(entry.instrument, last?.close);
  const overlays = drawn.filter(({ chosen }) => specOf(chosen.kind).placement === 'overlay');
  const panes = drawn.filter(({ chosen }) => specOf(chosen.kind).placement === 'pane');
  const tops = usePaneTops(
    surface,
    host,
    panes.map(({ chosen }) => chosenKey(chosen)),
  );
  // The newest candle has its values a moment later: until then those of the candle before are shown.
  const times = hovered === undefined ? entry.series.candles.slice(-2).map(({ time }) => time) : [hovered];
  const row = (item: DrawnIndicator) => (
    <Row
      key={chosenKey(item.chosen)}
      item={item}
      surface={surface}
      times={times}
      decimals={item.chosen.kind === 'rsi' ? RSI_DECIMALS : precision.price}
    />
  );
  return (
    <>
      <div className="legend-overlays">{overlays.map(row)}</div>
      {panes.map((item) => {
        const top = tops.get(chosenKey(item.chosen));
        return (
          top !== undefined && (
            <div key={chosenKey(item.chosen)} className="legend-pane" style={{ top }}>
              {row(item)}
            </div>
          )
        );
      })}
    </>
  );
}

interface RowProps {
  readonly item: DrawnIndicator;
  readonly surface: ChartSurface;
  /** Open times to look at, ascending; the newest with a value is shown. */
  readonly times: readonly number[];
  readonly decimals: number;
}

function Row({ item, surface, times, decimals }: RowProps) {
  const { indicators } = usePlatform();
  const { chosen, data } = item;
  useStore(data.version);
  const problem = useStore(data.problem);
  const key = chosenKey(chosen);
  const newest = (values: ReadonlyMap<number, number>) =>
    values.get(times.findLast((time) => values.has(time)) ?? -1);
  return (
    <span className="legend-indicator">
      <span className="legend-key">{chosenLabel(chosen)}</span>
      {problem !== undefined && (
        <span className="legend-problem" title={problem}>
          not available
        </span>
      )}
      {inOrder(data.outputs).map(([output, values]) => {
        const value = newest(values);
        const color = isHistogram(output) ? undefined : surface.indicators.colorOf(key, output);
        return (
          <span key={output} title={output} style={{ color }}>
            {value === undefined ? '–' : formatFixed(value, decimals)}
          </span>
        );
      })}
      <button
        type="button"
        className="legend-remove"
        aria-label={`Remove ${chosenLabel(chosen)}`}
        onClick={() => indicators.remove(key)}
      >
        <CloseIcon />
      </button>
    </span>
  );
}
