// The figures of the candle under the crosshair, or of the newest one, over the top left of the chart.
import { useSyncExternalStore } from 'react';
import { formatFixed, formatVolume } from '../format/number';
import { formatOpenTime, formatUtc } from '../format/time';
import type { Candle } from '../market/candle';
import { intervalLabel, intervalSeconds } from '../market/interval';
import type { SeriesEntry } from '../series/series-cache';
import { useStore } from '../state/store';
import { Change } from '../ui/Change';
import { usePrecision } from '../watchlist/use-precision';
import type { ChartSurface } from './chart-surface';

interface LegendProps {
  readonly entry: SeriesEntry;
  readonly surface: ChartSurface;
}

/** The candle to describe; renders again only when that candle changes. */
function useLegendCandle({ entry, surface }: LegendProps): Candle | undefined {
  const { series } = entry;
  const hovered = useStore(surface.crosshair);
  return useSyncExternalStore(surface.painted.subscribe, () =>
    hovered === undefined ? series.last : (series.at(hovered) ?? series.last),
  );
}

export function Legend({ entry, surface }: LegendProps) {
  const candle = useLegendCandle({ entry, surface });
  const hovered = useStore(surface.crosshair) !== undefined;
  const precision = usePrecision(entry.instrument, candle?.close);
  if (candle === undefined) return <div className="legend" data-testid="legend" />;
  const price = (value: number) => formatFixed(value, precision.price);
  const direction = candle.close >= candle.open ? 'up' : 'down';
  return (
    <div className="legend" data-testid="legend">
      <span className="legend-time" title={formatUtc(candle.time * 1000)}>
        <b>{intervalLabel(entry.interval)}</b>
        {formatOpenTime(candle.time, intervalSeconds(entry.interval))}
        {hovered && <span className="legend-utc">{formatUtc(candle.time * 1000)}</span>}
        {!candle.closed && <span className="legend-tag">open</span>}
        {candle.revision > 0 && (
          <span className="legend-tag" title="Late trades changed this candle after it had closed">
            revision {candle.revision}
          </span>
        )}
        {candle.repaired && (
          <span className="legend-tag" title="Some trades were missed live and fetched again from the venue">
            repaired
          </span>
        )}
      </span>
      <span className={`legend-figures ${direction}`}>
        <Figure name="O" value={price(candle.open)} />
        <Figure name="H" value={price(candle.high)} />
        <Figure name="L" value={price(candle.low)} />
        <Figure name="C" value={price(candle.close)} />
        <Figure name="V" value={formatVolume(candle.volume)} />
        <Change fraction={candle.open === 0 ? 0 : candle.close / candle.open - 1} />
      </span>
    </div>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <span className="legend-figure">
      <span className="legend-key">{name}</span>
      {value}
    </span>
  );
}
