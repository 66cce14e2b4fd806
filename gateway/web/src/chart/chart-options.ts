// The look of the chart: options of the chart library for given colours.
import {
  type CandlestickSeriesPartialOptions,
  ColorType,
  CrosshairMode,
  type DeepPartial,
  type HistogramSeriesPartialOptions,
  LineStyle,
  type Time,
  type TimeChartOptions,
} from 'lightweight-charts';
import { formatOpenTime } from '../format/time';
import type { ChartColors } from './chart-colors';

export const FONT_FAMILY = "'Inter Variable', system-ui, sans-serif";
export const BAR_SPACING = 7;
/** Empty bars to the right of the newest candle. */
export const RIGHT_OFFSET = 6;

export function chartOptions(colors: ChartColors): DeepPartial<TimeChartOptions> {
  const line = {
    color: colors.crosshair,
    labelBackgroundColor: colors.label,
    style: LineStyle.Dashed,
  } as const;
  return {
    autoSize: true,
    layout: {
      // The attribution that the library's licence asks for is a link below the chart.
      attributionLogo: false,
      background: { type: ColorType.Solid, color: colors.background },
      textColor: colors.text,
      fontFamily: FONT_FAMILY,
      fontSize: 11,
      panes: { separatorColor: colors.border, separatorHoverColor: colors.grid, enableResize: true },
    },
    grid: { vertLines: { color: colors.grid }, horzLines: { color: colors.grid } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: line, horzLine: line },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.14, bottom: 0.22 }, minimumWidth: 72 },
    timeScale: {
      borderColor: colors.border,
      timeVisible: true,
      barSpacing: BAR_SPACING,
      minBarSpacing: 0.5,
      rightOffset: RIGHT_OFFSET,
      allowBoldLabels: true,
    },
    kineticScroll: { touch: true, mouse: false },
  };
}

/** The label of the crosshair, as precise as the interval. */
export const timeOptions = (intervalSeconds: number): DeepPartial<TimeChartOptions> => ({
  localization: { timeFormatter: (time: Time) => formatOpenTime(Number(time), intervalSeconds) },
});

export const candleOptions = (colors: ChartColors): CandlestickSeriesPartialOptions => ({
  upColor: colors.up,
  downColor: colors.down,
  wickUpColor: colors.up,
  wickDownColor: colors.down,
  borderVisible: false,
  priceLineStyle: LineStyle.Dotted,
});

export const volumeOptions: HistogramSeriesPartialOptions = {
  priceScaleId: 'volume',
  priceFormat: { type: 'volume' },
  lastValueVisible: false,
  priceLineVisible: false,
};

export const volumeScale = { scaleMargins: { top: 0.84, bottom: 0 } };
