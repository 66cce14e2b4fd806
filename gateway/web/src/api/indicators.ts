// GET /api/v1/indicators: an indicator over candles, computed by the platform.
import { type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import type { Interval } from '../market/interval';
import type { GetJson } from './client';
import { asDecimal, asList, asNumber, asRecord, asTime } from './decode';

export interface IndicatorPoint {
  /** Open time of the candle in seconds. */
  readonly time: number;
  /** Undefined while the indicator has not seen enough candles. */
  readonly value: number | undefined;
}

/** Points of each output by name, ascending by time. */
export type IndicatorOutputs = Readonly<Record<string, readonly IndicatorPoint[]>>;

export interface IndicatorQuery {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  readonly indicator: string;
  readonly params: readonly number[];
  readonly before?: number | undefined;
  readonly limit: number;
}

export type FetchIndicator = (query: IndicatorQuery, signal?: AbortSignal) => Promise<IndicatorOutputs>;

/** Values may come as numbers or as decimals in text. */
const decodeValue = (value: unknown, path: string): number | undefined => {
  if (value === null) return undefined;
  return typeof value === 'number' ? asNumber(value, path) : asDecimal(value, path);
};

const decodePoint = (value: unknown, path: string): IndicatorPoint => {
  const row = asRecord(value, path);
  return {
    time: Math.floor(asTime(row.open_time, `${path}.open_time`) / 1000),
    value: decodeValue(row.value, `${path}.value`),
  };
};

export function decodeIndicator(body: unknown): IndicatorOutputs {
  const outputs = asRecord(asRecord(body).outputs, 'outputs');
  return Object.fromEntries(
    Object.entries(outputs).map(([name, points]) => [name, asList(points, decodePoint, `outputs.${name}`)]),
  );
}

export const createFetchIndicator =
  (get: GetJson): FetchIndicator =>
  ({ instrument, interval, indicator, params, before, limit }, signal) =>
    get(
      'indicators',
      {
        venue: venueOf(instrument),
        symbol: symbolOf(instrument),
        interval,
        indicator,
        params: params.join(','),
        to: before === undefined ? undefined : before * 1000,
        limit,
      },
      decodeIndicator,
      { signal },
    );
