// GET /api/v1/health and the `health` message: the state of the platform and of each feed.
import type { GetJson } from './client';
import { asList, asNumber, asOneOf, asRecord, asString, asTime, optional } from './decode';

export type FeedMode = 'SIM' | 'LIVE' | 'REPLAY';
export type PlatformMode = FeedMode | 'MIXED' | 'NONE';
export type FeedState = 'connecting' | 'live' | 'stale' | 'down' | 'ended';

export interface Feed {
  readonly venue: string;
  readonly ingestor: string;
  readonly mode: FeedMode;
  readonly state: FeedState;
  readonly symbols: number;
  readonly ticks: number;
  readonly quotes: number;
  readonly rejected: number;
  readonly reconnects: number;
  readonly gaps: number;
  readonly repairedTrades: number;
  /** Milliseconds since the last market event, by the platform's clock; undefined before the first one. */
  readonly ageMs: number | undefined;
  readonly lastEventTime: number | undefined;
  readonly detail: string;
}

export interface Health {
  readonly status: 'ok' | 'degraded' | 'down';
  readonly mode: PlatformMode;
  readonly version: string;
  /** What is missing, in the platform's words. */
  readonly problems: readonly string[];
  readonly feeds: readonly Feed[];
}

export type FetchHealth = (signal?: AbortSignal) => Promise<Health>;

export const decodeFeedMode = (value: unknown, path: string): FeedMode =>
  asOneOf(value, ['SIM', 'LIVE', 'REPLAY'], path);

export const decodeFeedState = (value: unknown, path: string): FeedState =>
  asOneOf(value, ['connecting', 'live', 'stale', 'down', 'ended'], path);

function decodeFeed(value: unknown, path: string): Feed {
  const row = asRecord(value, path);
  const count = (field: string) => asNumber(row[field], `${path}.${field}`);
  return {
    venue: asString(row.venue, `${path}.venue`),
    ingestor: asString(row.ingestor, `${path}.ingestor`),
    mode: decodeFeedMode(row.mode, `${path}.mode`),
    state: decodeFeedState(row.state, `${path}.state`),
    symbols: count('symbols'),
    ticks: count('ticks'),
    quotes: count('quotes'),
    rejected: count('rejected'),
    reconnects: count('reconnects'),
    gaps: count('gaps'),
    repairedTrades: count('repaired_trades'),
    ageMs: optional(row.age_ms, asNumber, `${path}.age_ms`),
    lastEventTime: optional(row.last_event_time, asTime, `${path}.last_event_time`),
    detail: optional(row.detail, asString, `${path}.detail`) ?? '',
  };
}

export function decodeHealth(body: unknown): Health {
  const row = asRecord(body);
  return {
    status: asOneOf(row.status, ['ok', 'degraded', 'down'], 'status'),
    mode: asOneOf(row.mode, ['SIM', 'LIVE', 'REPLAY', 'MIXED', 'NONE'], 'mode'),
    version: asString(row.version, 'version'),
    problems: asList(row.problems, asString, 'problems'),
    feeds: asList(row.feeds, decodeFeed, 'feeds'),
  };
}

export const createFetchHealth =
  (get: GetJson): FetchHealth =>
  (signal) =>
    get('health', {}, decodeHealth, { signal, timeoutMs: 4000 });
