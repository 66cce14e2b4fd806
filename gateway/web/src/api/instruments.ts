// GET /api/v1/instruments and /api/v1/venues: what there is to look at.
import { type Instrument, instrumentId } from '../market/instrument';
import type { GetJson } from './client';
import { asBoolean, asList, asOneOf, asRecord, asString, optional } from './decode';

export interface InstrumentQuery {
  readonly venue?: string | undefined;
  readonly text?: string | undefined;
  readonly limit: number;
}

export type FetchInstruments = (query: InstrumentQuery, signal?: AbortSignal) => Promise<Instrument[]>;
export type FetchVenues = (signal?: AbortSignal) => Promise<string[]>;

function decodeInstrument(value: unknown, path: string): Instrument {
  const row = asRecord(value, path);
  const venue = asString(row.venue, `${path}.venue`);
  const symbol = asString(row.symbol, `${path}.symbol`);
  return {
    id: instrumentId(venue, symbol),
    venue,
    symbol,
    kind: asOneOf(row.kind, ['spot', 'perpetual', 'future'], `${path}.kind`),
    status: asOneOf(row.status, ['trading', 'halted', 'closed'], `${path}.status`),
    tickSize: optional(row.tick_size, asString, `${path}.tick_size`),
    lotSize: optional(row.lot_size, asString, `${path}.lot_size`),
    live: asBoolean(row.live, `${path}.live`),
  };
}

export const decodeInstruments = (body: unknown): Instrument[] =>
  asList(asRecord(body).instruments, decodeInstrument, 'instruments');

/** The names of the venues. */
export const decodeVenues = (body: unknown): string[] =>
  asList(
    asRecord(body).venues,
    (value, path) => asString(asRecord(value, path).venue, `${path}.venue`),
    'venues',
  );

/** The most that the gateway takes as a search text. */
const TEXT_LIMIT = 48;

export const createFetchInstruments =
  (get: GetJson): FetchInstruments =>
  ({ venue, text, limit }, signal) =>
    get('instruments', { venue, q: text?.slice(0, TEXT_LIMIT), limit }, decodeInstruments, { signal });

export const createFetchVenues =
  (get: GetJson): FetchVenues =>
  (signal) =>
    get('venues', {}, decodeVenues, { signal });
