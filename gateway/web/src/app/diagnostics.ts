// `window.__dexorder`: read-only facts about the chart for end-to-end tests and for support. Not an interface to build on.
import type { AnnotationBook } from '../chart/annotations';
import { chosenKey } from '../indicators/catalog';
import type { ChosenIndicators } from '../indicators/chosen';
import type { CurrentSession } from './current-session';
import type { ViewState } from './view-state';

declare global {
  interface Window {
    /** See Diagnostics. */
    readonly __dexorder?: PageFacts;
  }
}

export interface PageFacts {
  /** The newest candle in memory: open time (RFC 3339), close, revision. */
  lastCandle(): { open_time: string; close: number; revision: number } | null;
  /** Candles of the shown series in memory; the chart itself holds only those around the view. */
  candleCount(): number;
  /** In the wire's spelling, for example `60s`. */
  interval(): string;
  /** `VENUE:SYMBOL`, or empty before there is one. */
  symbol(): string;
  /** Indicators that are chosen, for example `rsi:14`. */
  indicators(): string[];
  /** Markers and levels on the symbol that is shown. */
  marks(): { markers: number; levels: number };
  /** Times that live candles were painted. */
  updates(): number;
}

export class Diagnostics {
  /** The chart, as soon as it exists. */
  surface: { readonly updates: number } | undefined;
  private readonly view: ViewState;
  private readonly current: CurrentSession;
  private readonly indicators: ChosenIndicators;
  private readonly annotations: AnnotationBook;

  constructor(
    view: ViewState,
    current: CurrentSession,
    indicators: ChosenIndicators,
    annotations: AnnotationBook,
  ) {
    this.view = view;
    this.current = current;
    this.indicators = indicators;
    this.annotations = annotations;
  }

  install(): void {
    const series = () => this.current.session.get()?.entry.series;
    const facts: PageFacts = Object.freeze({
      lastCandle: () => {
        const last = series()?.last;
        if (last === undefined) return null;
        const openTime = new Date(last.time * 1000).toISOString().replace('.000Z', 'Z');
        return { open_time: openTime, close: last.close, revision: last.revision };
      },
      candleCount: () => series()?.candles.length ?? 0,
      interval: () => this.view.interval.get(),
      symbol: () => this.view.symbol.get() ?? '',
      indicators: () => this.indicators.list.get().map(chosenKey),
      marks: () => {
        const symbol = this.view.symbol.get();
        const { markers, levels } =
          symbol === undefined ? { markers: {}, levels: {} } : this.annotations.of(symbol);
        return { markers: Object.values(markers).flat().length, levels: Object.values(levels).flat().length };
      },
      updates: () => this.surface?.updates ?? 0,
    });
    Object.defineProperty(window, '__dexorder', { value: facts });
  }
}
