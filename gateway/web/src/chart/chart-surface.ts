// Draws one candle series: holds the chart library, moves the window over the series, paints changes once per frame.
import {
  type CandlestickData,
  CandlestickSeries,
  createChartEx,
  HistogramSeries,
  type IChartApiBase,
  type IPriceLine,
  type ISeriesApi,
  LineStyle,
  type Time,
  type UTCTimestamp,
} from 'lightweight-charts';
import { formatFixed } from '../format/number';
import type { Candle } from '../market/candle';
import { type CandleSeries, indexAt, type SeriesChange } from '../series/candle-series';
import { readyMargin } from '../series/page-size';
import type { FrameBatch } from '../state/frame-batch';
import { Store } from '../state/store';
import type { ChartColors } from './chart-colors';
import { ChartMarks } from './chart-marks';
import {
  BAR_SPACING,
  candleOptions,
  chartOptions,
  FONT_FAMILY,
  RIGHT_OFFSET,
  timeOptions,
  volumeOptions,
  volumeScale,
} from './chart-options';
import { moveWindow, tailWindow, type View, type Window } from './chart-window';
import { HoldWatch } from './hold-watch';
import { IndicatorLines } from './indicator-lines';
import { LocalTimeBehavior } from './local-time';

export interface SurfaceHandlers {
  /** The view comes near the oldest candle in memory. */
  readonly needOlder: (visibleBars: number) => void;
}

/** From this many changed candles on it is cheaper to set the whole window. */
const UPDATE_LIMIT = 50;

const asTime = (seconds: number): UTCTimestamp => seconds as UTCTimestamp;

export class ChartSurface {
  /** Open time under the crosshair, or undefined when the pointer is elsewhere. */
  readonly crosshair = new Store<number | undefined>(undefined);
  readonly atLatest = new Store(true);
  /** Changes with every paint: a signal for what is shown beside the chart. */
  readonly painted = new Store(0);
  readonly indicators: IndicatorLines;
  readonly marks: ChartMarks;
  private readonly chart: IChartApiBase<Time>;
  private readonly candles: ISeriesApi<'Candlestick'>;
  private readonly volume: ISeriesApi<'Histogram'>;
  private disposed = false;
  private readonly behavior = new LocalTimeBehavior();
  private readonly frames: FrameBatch;
  private readonly handlers: SurfaceHandlers;
  private readonly hold: HoldWatch;
  private colors: ChartColors;
  private series: CandleSeries | undefined;
  private leaveSeries: (() => void) | undefined;
  private window: Window = { start: 0, end: 0 };
  /** What the chart library holds now. */
  private rows: readonly Candle[] = [];
  /** The window follows the live end. */
  private pinned = true;
  private liveLine: IPriceLine | undefined;
  private dirtySince = Number.POSITIVE_INFINITY;
  private stale = false;
  private painting = false;
  private updateCount = 0;

  constructor(host: HTMLElement, colors: ChartColors, frames: FrameBatch, handlers: SurfaceHandlers) {
    this.colors = colors;
    this.frames = frames;
    this.handlers = handlers;
    this.chart = createChartEx(host, this.behavior, chartOptions(colors));
    this.candles = this.chart.addSeries(CandlestickSeries, candleOptions(colors));
    this.volume = this.chart.addSeries(HistogramSeries, volumeOptions);
    this.volume.priceScale().applyOptions(volumeScale);
    this.indicators = new IndicatorLines(this.chart, colors);
    this.marks = new ChartMarks(this.candles, colors);
    this.hold = new HoldWatch(host, () => frames.add(this.reconsider));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(this.viewChanged);
    this.chart.subscribeCrosshairMove((event) =>
      this.crosshair.set(typeof event.time === 'number' ? event.time : undefined),
    );
    // Labels are measured with the fallback font until the real one is here.
    void document.fonts.ready.then(() => {
      if (!this.disposed) this.chart.applyOptions({ layout: { fontFamily: FONT_FAMILY } });
    });
  }

  /** Paints of live candles since the page was loaded. */
  get updates(): number {
    return this.updateCount;
  }

  setColors(colors: ChartColors): void {
    this.colors = colors;
    this.chart.applyOptions(chartOptions(colors));
    this.candles.applyOptions(candleOptions(colors));
    this.indicators.setColors(colors);
    this.marks.setColors(colors);
    this.stale = true;
    this.frames.add(this.paint);
  }

  setPrecision(decimals: number): void {
    const priceFormat = {
      type: 'custom',
      minMove: 10 ** -decimals,
      formatter: (price: number) => formatFixed(price, decimals),
    } as const;
    this.candles.applyOptions({ priceFormat });
    this.indicators.setPrecision(priceFormat);
  }

  /** Shows another series from its newest candle on; the zoom stays. */
  show(series: CandleSeries, intervalSeconds: number): void {
    this.leaveSeries?.();
    this.series = series;
    this.leaveSeries = series.subscribe((change) => this.take(change));
    this.behavior.style = { utcDays: intervalSeconds >= 86_400, seconds: intervalSeconds < 60 };
    this.chart.applyOptions(timeOptions(intervalSeconds));
    this.candles.priceScale().applyOptions({ autoScale: true });
    this.crosshair.set(undefined);
    this.showLatest();
  }

  readonly showLatest = (): void => {
    const { series } = this;
    if (series === undefined) return;
    this.setWindow(tailWindow(series.candles.length, this.visibleBars()));
    this.chart.timeScale().scrollToPosition(RIGHT_OFFSET, false);
  };

  /** Moves the view by a share of its width; negative goes back in time. */
  pan(share: number): void {
    const scale = this.chart.timeScale();
    scale.scrollToPosition(scale.scrollPosition() + share * this.visibleBars(), false);
  }

  zoom(factor: number): void {
    const scale = this.chart.timeScale();
    const spacing = scale.options().barSpacing * factor;
    scale.applyOptions({ barSpacing: Math.min(60, Math.max(0.5, spacing)) });
  }

  resetView(): void {
    this.chart.timeScale().applyOptions({ barSpacing: BAR_SPACING });
    this.candles.priceScale().applyOptions({ autoScale: true });
    this.showLatest();
  }

  /** Looks again whether older candles are needed or the window has to move. */
  readonly reconsider = (): void => {
    const { series } = this;
    const view = this.view();
    if (this.disposed || series === undefined || view === undefined) return;
    const { length } = series.candles;
    const next = moveWindow(length, this.window, view, this.hold.held);
    if (next !== undefined) this.moveTo(next);
    const visible = view.to - view.from;
    this.atLatest.set(view.to >= length - 1);
    if (view.from < readyMargin(visible)) this.handlers.needOlder(visible);
  };

  readonly reconsiderSoon = (): void => this.frames.add(this.reconsider);

  dispose(): void {
    this.disposed = true;
    this.leaveSeries?.();
    this.hold.dispose();
    this.chart.remove();
  }

  private readonly viewChanged = (): void => {
    if (this.painting) return;
    this.hold.moved();
    this.frames.add(this.reconsider);
  };

  private visibleBars(): number {
    const scale = this.chart.timeScale();
    return Math.max(50, scale.width() / scale.options().barSpacing);
  }

  /** The visible part in positions of the whole series. */
  private view(): View | undefined {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (range === null || this.rows.length === 0) return undefined;
    return { from: range.from + this.window.start, to: range.to + this.window.start };
  }

  private take(change: SeriesChange): void {
    if (change.type === 'prepended') {
      this.window = { start: this.window.start + change.count, end: this.window.end + change.count };
      this.frames.add(this.reconsider);
      return;
    }
    if (change.type === 'reset' || this.rows.length === 0) this.stale = true;
    else this.dirtySince = Math.min(this.dirtySince, change.since);
    this.frames.add(this.paint);
  }

  private readonly paint = (): void => {
    const { series } = this;
    if (this.disposed || series === undefined) return;
    if (this.stale) {
      this.paintAnew(series);
    } else {
      this.paintChanged(series);
      this.markLive();
      this.indicators.update(this.rows, this.dirtySince);
    }
    this.updateCount += 1;
    this.painted.set(this.painted.get() + 1);
    this.stale = false;
    this.dirtySince = Number.POSITIVE_INFINITY;
    this.frames.add(this.reconsider);
  };

  /** Replaces single candles at or near the end without touching the rest. */
  private paintChanged(series: CandleSeries): void {
    const end = this.pinned ? series.candles.length : this.window.end;
    const from = Math.max(this.window.start, indexAt(series.candles, this.dirtySince));
    if (end - from > UPDATE_LIMIT) {
      const position = this.chart.timeScale().scrollPosition();
      const following = this.pinned && position >= 0;
      this.moveTo({ start: this.window.start, end });
      // Who looks at the newest candle goes on doing so, however many came at once, for example in a hidden tab.
      if (following) this.chart.timeScale().scrollToPosition(position, false);
      return;
    }
    const lastPainted = this.rows.at(-1)?.time ?? Number.NEGATIVE_INFINITY;
    this.painting = true;
    for (const candle of series.candles.slice(from, end)) {
      const historical = candle.time < lastPainted;
      const time = asTime(candle.time);
      this.candles.update({ ...candle, time }, historical);
      this.volume.update({ time, value: candle.volume, color: this.volumeColor(candle) }, historical);
    }
    this.painting = false;
    this.window = { start: this.window.start, end };
    this.rows = series.candles.slice(this.window.start, end);
    if (this.rows.at(-1)?.time !== lastPainted) this.marks.paint(this.rows);
  }

  /** The series changed in its middle, or the colours did: keeps the moment at the right edge of the view. */
  private paintAnew(series: CandleSeries): void {
    const { length } = series.candles;
    const position = this.chart.timeScale().scrollPosition();
    const anchor = this.rows.at(Math.min(-1, Math.floor(position) - 1)) ?? this.rows[0];
    if (anchor === undefined || (this.pinned && position >= 0)) {
      this.setWindow(tailWindow(length, this.visibleBars()));
      this.chart.timeScale().scrollToPosition(anchor === undefined ? RIGHT_OFFSET : position, false);
      return;
    }
    const right = indexAt(series.candles, anchor.time);
    const visible = this.visibleBars();
    const around = tailWindow(Math.min(length, right + Math.ceil(visible)), visible * 2);
    this.setWindow(around);
    this.chart.timeScale().scrollToPosition(right - (around.end - 1), false);
  }

  /** Another window over the same candles: the view stays where it is. */
  private moveTo(next: Window): void {
    const before = this.window;
    const position = this.chart.timeScale().scrollPosition();
    this.setWindow(next);
    // While the user drags, the library keeps the view itself, and only the left side has grown.
    if (!this.hold.held) {
      this.chart.timeScale().scrollToPosition(position + before.end - next.end, false);
    }
  }

  private setWindow(window: Window): void {
    const rows = this.series?.candles.slice(window.start, window.end) ?? [];
    this.painting = true;
    this.window = window;
    this.pinned = window.end === (this.series?.candles.length ?? 0);
    this.candles.applyOptions({ lastValueVisible: this.pinned, priceLineVisible: this.pinned });
    this.markLive();
    this.rows = rows;
    this.candles.setData(rows as readonly unknown[] as CandlestickData[]);
    this.volume.setData(
      rows.map((candle) => ({
        time: asTime(candle.time),
        value: candle.volume,
        color: this.volumeColor(candle),
      })),
    );
    this.indicators.paint(rows);
    this.marks.paint(rows);
    this.painting = false;
    this.painted.set(this.painted.get() + 1);
    this.frames.add(this.reconsider);
  }

  /** While the window ends in the past, its last candle is not the last price: a line of its own shows that. */
  private markLive(): void {
    const last = this.series?.last;
    if (this.pinned || last === undefined) {
      if (this.liveLine !== undefined) this.candles.removePriceLine(this.liveLine);
      this.liveLine = undefined;
      return;
    }
    const color = last.close >= last.open ? this.colors.up : this.colors.down;
    const line = { price: last.close, color, lineStyle: LineStyle.Dotted, lineWidth: 1 } as const;
    if (this.liveLine === undefined) this.liveLine = this.candles.createPriceLine(line);
    else this.liveLine.applyOptions(line);
  }

  private volumeColor(candle: Candle): string {
    return candle.close >= candle.open ? this.colors.upVolume : this.colors.downVolume;
  }
}
