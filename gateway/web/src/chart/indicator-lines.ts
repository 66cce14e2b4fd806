// Draws indicators: overlays on the candles, the others in panes of their own below.
import {
  HistogramSeries,
  type IChartApiBase,
  type IPaneApi,
  type ISeriesApi,
  type LineData,
  LineSeries,
  LineStyle,
  type PriceFormat,
  type Time,
  type UTCTimestamp,
  type WhitespaceData,
} from 'lightweight-charts';
import {
  type ChosenIndicator,
  chosenKey,
  followsPrice,
  inOrder,
  isBand,
  isHistogram,
  specOf,
} from '../indicators/catalog';
import type { DrawnIndicator } from '../indicators/indicator-book';
import type { IndicatorData } from '../indicators/indicator-data';
import type { Candle } from '../market/candle';
import { Store } from '../state/store';
import type { ChartColors } from './chart-colors';

interface Line {
  readonly output: string;
  readonly series: ISeriesApi<'Line'> | ISeriesApi<'Histogram'>;
  /** The newest values on the chart by open time, ascending. */
  readonly recent: Map<number, number>;
}

interface Drawn {
  readonly data: IndicatorData;
  readonly chosen: ChosenIndicator;
  readonly lines: Map<string, Line>;
  readonly leave: () => void;
  pane: IPaneApi<Time> | undefined;
  stale: boolean;
}

const MAIN_STRETCH = 3.2;
/** Values near the end that may still change. */
const RECENT = 20;

const isOverlay = (drawn: Drawn): boolean => specOf(drawn.chosen.kind).placement === 'overlay';

export class IndicatorLines {
  /** Changes when panes come or go. */
  readonly layout = new Store(0);
  private readonly chart: IChartApiBase<Time>;
  private readonly drawn = new Map<string, Drawn>();
  private rows: readonly Candle[] = [];
  private colors: ChartColors;
  private priceFormat: PriceFormat | undefined;

  constructor(chart: IChartApiBase<Time>, colors: ChartColors) {
    this.chart = chart;
    this.colors = colors;
  }

  /** Makes the chart show exactly these; `order` decides the colours. */
  set(list: readonly DrawnIndicator[]): void {
    for (const [key, drawn] of this.drawn) {
      if (!list.some((item) => chosenKey(item.chosen) === key && item.data === drawn.data))
        this.remove(key, drawn);
    }
    for (const item of list) {
      const key = chosenKey(item.chosen);
      if (this.drawn.has(key)) continue;
      const drawn: Drawn = {
        ...item,
        lines: new Map(),
        pane: undefined,
        stale: true,
        leave: item.data.version.subscribe(() => this.refresh(drawn)),
      };
      this.drawn.set(key, drawn);
      this.want(drawn, false);
      this.refresh(drawn);
    }
    this.recolor();
  }

  setColors(colors: ChartColors): void {
    this.colors = colors;
    this.recolor();
  }

  setPrecision(priceFormat: PriceFormat): void {
    this.priceFormat = priceFormat;
    for (const drawn of this.drawn.values()) {
      for (const line of drawn.lines.values())
        if (this.followsPrice(drawn)) line.series.applyOptions({ priceFormat });
    }
  }

  /** Overlays have one colour each; in a pane of its own each line of an indicator has one. */
  colorOf(key: string, output: string): string {
    const drawn = this.drawn.get(key);
    const { lines } = this.colors;
    const index =
      drawn === undefined || isOverlay(drawn)
        ? this.overlays().indexOf(key)
        : [...drawn.lines.keys()].filter((name) => !isHistogram(name)).indexOf(output);
    return lines[Math.max(0, index) % lines.length] ?? '';
  }

  /** The element of the pane that an indicator has for itself; undefined for overlays. */
  paneElement(key: string): HTMLElement | undefined {
    return this.drawn.get(key)?.pane?.getHTMLElement() ?? undefined;
  }

  /** Other candles are on the chart now. */
  paint(rows: readonly Candle[]): void {
    this.rows = rows;
    for (const drawn of this.drawn.values()) {
      drawn.stale = true;
      this.want(drawn, false);
      this.refresh(drawn);
    }
  }

  /** Candles from `since` on have changed. */
  update(rows: readonly Candle[], since: number): void {
    this.rows = rows;
    const recent = since >= (rows.at(-100)?.time ?? 0);
    for (const drawn of this.drawn.values()) this.want(drawn, recent);
  }

  private want(drawn: Drawn, moved: boolean): void {
    const first = this.rows[0];
    const last = this.rows.at(-1);
    if (first !== undefined && last !== undefined)
      drawn.data.want(first.time, last.time, this.rows.length, moved);
  }

  private refresh(drawn: Drawn): void {
    for (const [output, values] of inOrder(drawn.data.outputs)) {
      const line = drawn.lines.get(output) ?? this.addLine(drawn, output);
      if (drawn.stale || !this.updateEnd(line, values)) this.setAll(line, values);
    }
    drawn.stale = false;
  }

  private setAll(line: Line, values: ReadonlyMap<number, number>): void {
    // Nothing after the last value: the library takes no point before its last one, not even for an empty place.
    const count = this.rows.findLastIndex(({ time }) => values.has(time)) + 1;
    const shown = this.rows.slice(0, count);
    line.series.setData(shown.map(({ time }) => this.point(line, time, values.get(time))));
    line.recent.clear();
    for (const { time } of shown.slice(-RECENT)) this.remember(line, time, values.get(time));
  }

  /** Moves only the newest points; false when an earlier one has changed too. */
  private updateEnd(line: Line, values: ReadonlyMap<number, number>): boolean {
    const last = [...line.recent.keys()].at(-1);
    if (last === undefined) return false;
    for (const { time } of this.rows.slice(-RECENT)) {
      const value = values.get(time);
      if (value === undefined || line.recent.get(time) === value) continue;
      if (time < last) return false;
      line.series.update(this.point(line, time, value));
      this.remember(line, time, value);
    }
    return true;
  }

  private remember(line: Line, time: number, value: number | undefined): void {
    if (value !== undefined) line.recent.set(time, value);
    const [oldest] = line.recent.keys();
    if (line.recent.size > RECENT && oldest !== undefined) line.recent.delete(oldest);
  }

  private point(line: Line, seconds: number, value: number | undefined): LineData | WhitespaceData {
    const time = seconds as UTCTimestamp;
    if (value === undefined) return { time };
    if (!isHistogram(line.output)) return { time, value };
    return { time, value, color: value >= 0 ? this.colors.upVolume : this.colors.downVolume };
  }

  private addLine(drawn: Drawn, output: string): Line {
    const spec = specOf(drawn.chosen.kind);
    const pane = isOverlay(drawn) ? 0 : (drawn.pane?.paneIndex() ?? this.chart.panes().length);
    const shared = { lastValueVisible: false, priceLineVisible: false };
    const series = isHistogram(output)
      ? this.chart.addSeries(HistogramSeries, shared, pane)
      : this.chart.addSeries(
          LineSeries,
          { ...shared, lineWidth: isBand(output) ? 1 : 2, crosshairMarkerVisible: false },
          pane,
        );
    if (this.priceFormat !== undefined && this.followsPrice(drawn))
      series.applyOptions({ priceFormat: this.priceFormat });
    if (spec.placement === 'pane') {
      if (drawn.pane === undefined) this.addGuides(series, spec.guides);
      drawn.pane = series.getPane();
      this.layout.set(this.layout.get() + 1);
      this.chart.panes()[0]?.setStretchFactor(MAIN_STRETCH);
    }
    const line: Line = { output, series, recent: new Map() };
    drawn.lines.set(output, line);
    this.recolor();
    return line;
  }

  private addGuides(series: Line['series'], guides: readonly number[]): void {
    for (const price of guides) {
      series.createPriceLine({
        price,
        lineWidth: 1,
        lineStyle: LineStyle.Dotted,
        axisLabelVisible: false,
        color: '#8886',
      });
    }
  }

  private remove(key: string, drawn: Drawn): void {
    drawn.leave();
    for (const line of drawn.lines.values()) this.chart.removeSeries(line.series);
    this.drawn.delete(key);
    this.layout.set(this.layout.get() + 1);
  }

  private recolor(): void {
    for (const [key, drawn] of this.drawn) {
      for (const line of drawn.lines.values())
        line.series.applyOptions({ color: this.colorOf(key, line.output) });
    }
  }

  private overlays(): string[] {
    return [...this.drawn].flatMap(([key, drawn]) => (isOverlay(drawn) ? [key] : []));
  }

  /** RSI has a scale of its own; everything else is in units of the price. */
  private followsPrice(drawn: Drawn): boolean {
    return followsPrice(drawn.chosen.kind);
  }
}
