// GET /api/v1/candles: a page of candles of one instrument and interval.
import type { Candle } from '../market/candle';
import { type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import type { Interval } from '../market/interval';
import type { GetJson } from './client';
import {
  asBoolean,
  asDecimal,
  asList,
  asNumber,
  asOneOf,
  asRecord,
  asTime,
  DecodeError,
  optional,
} from './decode';

/** Whether the range is covered, still being fetched from the venue, or not to be had. */
export type HistoryState = 'complete' | 'pending' | 'unavailable';

export interface CandlePage {
  /** Ascending by open time, one per open time. */
  readonly candles: Candle[];
  readonly history: HistoryState;
  /** Where the gateway says that the next older page ends (seconds); it does not always say. */
  readonly older: number | undefined;
}

export interface CandleQuery {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  /** Open times before this one (seconds); without it the newest. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export type FetchCandles = (query: CandleQuery, signal?: AbortSignal) => Promise<CandlePage>;

/** The most one request may ask for. */
export const MAX_PAGE = 5000;

export function decodeCandle(value: unknown, path: string): Candle {
  const row = asRecord(value, path);
  return {
    time: Math.floor(asTime(row.open_time, `${path}.open_time`) / 1000),
    open: asDecimal(row.open, `${path}.open`),
    high: asDecimal(row.high, `${path}.high`),
    low: asDecimal(row.low, `${path}.low`),
    close: asDecimal(row.close, `${path}.close`),
    volume: asDecimal(row.volume, `${path}.volume`),
    trades: asNumber(row.trades, `${path}.trades`),
    revision: asNumber(row.revision, `${path}.revision`),
    closed: asBoolean(row.closed, `${path}.closed`),
    repaired: asBoolean(row.repaired, `${path}.repaired`),
  };
}

export function decodeCandlePage(body: unknown): CandlePage {
  const page = asRecord(body);
  const candles = asList(page.candles, decodeCandle, 'candles');
  for (let i = 1; i < candles.length; i += 1) {
    if ((candles[i]?.time ?? 0) <= (candles[i - 1]?.time ?? 0)) {
      throw new DecodeError(`candles[${i}].open_time`, 'a later time than the candle before');
    }
  }
  const next = optional(page.next, asTime, 'next');
  return {
    candles,
    history: asOneOf(page.history, ['complete', 'pending', 'unavailable'], 'history'),
    older: next === undefined ? undefined : Math.floor(next / 1000),
  };
}

export const createFetchCandles =
  (get: GetJson): FetchCandles =>
  ({ instrument, interval, before, limit }, signal) =>
    get(
      'candles',
      {
        venue: venueOf(instrument),
        symbol: symbolOf(instrument),
        interval,
        to: before === undefined ? undefined : before * 1000,
        limit,
      },
      decodeCandlePage,
      { signal },
    );
