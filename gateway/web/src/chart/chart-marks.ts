// Draws markers and levels on the candles: markers stand at the candle in which their time falls.
import {
  createSeriesMarkers,
  type IPriceLine,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  LineStyle,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from 'lightweight-charts';
import type { Candle } from '../market/candle';
import { indexAt } from '../series/candle-series';
import type { Annotations } from './annotations';
import type { ChartMarker, Tone } from './chart-action';
import type { ChartColors } from './chart-colors';

const SHAPES = { up: 'arrowUp', down: 'arrowDown', neutral: 'circle' } as const;

export class ChartMarks {
  private readonly candles: ISeriesApi<'Candlestick'>;
  private readonly plugin: ISeriesMarkersPluginApi<Time>;
  private lines: IPriceLine[] = [];
  private colors: ChartColors;
  private annotations: Annotations = { markers: {}, levels: {} };
  private rows: readonly Candle[] = [];

  constructor(candles: ISeriesApi<'Candlestick'>, colors: ChartColors) {
    this.candles = candles;
    this.colors = colors;
    this.plugin = createSeriesMarkers(candles, []);
  }

  set(annotations: Annotations): void {
    if (annotations === this.annotations) return;
    this.annotations = annotations;
    this.drawLevels();
    this.drawMarkers();
  }

  setColors(colors: ChartColors): void {
    this.colors = colors;
    this.drawLevels();
    this.drawMarkers();
  }

  /** Other candles are on the chart now. */
  paint(rows: readonly Candle[]): void {
    this.rows = rows;
    if (Object.keys(this.annotations.markers).length > 0) this.drawMarkers();
  }

  private color(tone: Tone): string {
    return tone === 'up' ? this.colors.up : tone === 'down' ? this.colors.down : this.colors.crosshair;
  }

  private drawLevels(): void {
    for (const line of this.lines) this.candles.removePriceLine(line);
    this.lines = Object.values(this.annotations.levels)
      .flat()
      .map(({ price, text, tone }) =>
        this.candles.createPriceLine({
          price,
          title: text,
          color: this.color(tone),
          lineWidth: 1,
          lineStyle: LineStyle.Dashed,
          axisLabelVisible: true,
        }),
      );
  }

  private drawMarkers(): void {
    const markers = Object.values(this.annotations.markers).flat();
    const drawn = markers.flatMap((marker) => this.draw(marker) ?? []);
    this.plugin.setMarkers(drawn.sort((a, b) => Number(a.time) - Number(b.time)));
  }

  private draw({ time, place, text, tone }: ChartMarker): SeriesMarker<Time> | undefined {
    const { rows } = this;
    const first = rows[0];
    if (first === undefined || time < first.time) return undefined;
    const at = indexAt(rows, time);
    // The candle in which it falls is the last one that does not begin behind it.
    const candle = rows[at]?.time === time ? rows[at] : rows[at - 1];
    if (candle === undefined) return undefined;
    return {
      time: candle.time as UTCTimestamp,
      position: place === 'above' ? 'aboveBar' : 'belowBar',
      shape: SHAPES[tone],
      color: this.color(tone),
      text,
    };
  }
}
