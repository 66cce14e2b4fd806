// How many candles to ask for: enough for the view, few enough to be quick, never more than the gateway gives.
import { MAX_PAGE } from '../api/candles';

/** The first page of a series: a wide screen of candles and some more. */
export const FIRST_PAGE = 400;

/** The page before the oldest candle: three views, so that scrolling meets the next page before its end. */
export const olderPage = (visibleBars: number): number =>
  Math.min(MAX_PAGE, Math.max(1000, Math.ceil(visibleBars * 3)));

/** Beyond what is visible, this many candles should lie ready to the left. */
export const readyMargin = (visibleBars: number): number => Math.max(200, Math.ceil(visibleBars));

const TAIL_OVERLAP = 5;

/**
 * The newest candles that surely reach back to `lastTime`; undefined when that would be more than one page, so that the
 * series has to start afresh.
 */
export function tailPage(lastTime: number, nowSeconds: number, intervalSeconds: number): number | undefined {
  const missed = Math.ceil(Math.max(0, nowSeconds - lastTime) / intervalSeconds);
  const limit = missed + TAIL_OVERLAP;
  return limit > MAX_PAGE ? undefined : limit;
}
