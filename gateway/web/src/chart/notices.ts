// What the user has to know about the chart right now, and what to do about it. Pure: state in, notices out.

import type { Health } from '../api/health';
import { formatAge } from '../format/time';
import type { VenueHealth } from '../health/health-state';
import type { Connection } from '../live/socket';
import { type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import type { SessionState } from '../series/series-session';
import type { InstrumentFacts } from '../watchlist/instruments';

export interface Notice {
  readonly id: string;
  readonly tone: 'info' | 'warning';
  readonly title: string;
  readonly text: string;
  readonly action?: 'retry' | 'search';
}

export interface NoticeFacts {
  readonly instrument: InstrumentId;
  readonly session: SessionState;
  readonly connection: Connection;
  readonly health: Health | undefined;
  readonly venue: VenueHealth | undefined;
  readonly facts: InstrumentFacts | undefined;
  readonly now: number;
}

/** A short break heals before anybody has to know. */
const QUIET_BREAK_MS = 2000;

function connectionNotice({ connection, now }: NoticeFacts): Notice | undefined {
  if (connection.status !== 'waiting' || now - connection.since < QUIET_BREAK_MS) return undefined;
  return {
    id: 'connection',
    tone: 'warning',
    title: `Connection lost ${formatAge(now - connection.since)} ago`,
    text: 'Prices stand still. The page reconnects by itself and fetches what it missed.',
  };
}

/** Only what no feed itself can know, for example that the relay is away. */
function platformNotice({ health, venue }: NoticeFacts): Notice | undefined {
  const problem = health?.status === 'down' ? health.problems[0] : undefined;
  if (problem === undefined || (venue !== undefined && venue.state !== 'live')) return undefined;
  const text = `${problem.charAt(0).toUpperCase()}${problem.slice(1)}. What is shown may be old.`;
  return { id: 'platform', tone: 'warning', title: 'The platform has a problem', text };
}

function venueNotice({ venue, instrument }: NoticeFacts): Notice | undefined {
  if (venue === undefined || venue.state === 'live' || venue.state === 'connecting') return undefined;
  const name = venueOf(instrument);
  const age = venue.ageMs === undefined ? '' : ` The last tick is ${formatAge(venue.ageMs)} old.`;
  if (venue.state === 'ended') {
    return {
      id: 'venue',
      tone: 'info',
      title: `The replay of ${name} has ended`,
      text: 'Start it again to see candles move.',
    };
  }
  return {
    id: 'venue',
    tone: 'warning',
    title: venue.state === 'stale' ? `${name} is silent` : `${name} is down`,
    text: `${age} The platform reconnects by itself; the feed health above has the details.`.trim(),
  };
}

/** `Next try in 3 s.`, or nothing when none is planned. */
export const waitOf = (retryAt: number | undefined, now: number): string =>
  retryAt === undefined ? '' : `Next try in ${Math.max(0, Math.ceil((retryAt - now) / 1000))} s.`;

function historyNotice({ session, instrument, now }: NoticeFacts): Notice | undefined {
  const { history, olderHistory, retryAt, error } = session;
  const wait = ` ${waitOf(retryAt, now)}`.trimEnd();
  if (error !== undefined && session.phase === 'ready') {
    return {
      id: 'error',
      tone: 'warning',
      title: error.message,
      text: `${error.advice}${wait}`,
      action: 'retry',
    };
  }
  if (history === 'pending' || olderHistory === 'pending') {
    return {
      id: 'pending',
      tone: 'info',
      title: 'History is on its way',
      text: `${venueOf(instrument)} is being asked for older candles.${wait}`,
      action: 'retry',
    };
  }
  if (history === 'unavailable' || olderHistory === 'unavailable') {
    return {
      id: 'unavailable',
      tone: 'info',
      title: 'No older history',
      text: `${venueOf(instrument)} gives no candles before these. New ones are kept from now on.`,
    };
  }
  return undefined;
}

function instrumentNotice({ facts, session, instrument }: NoticeFacts): Notice | undefined {
  // When nothing could be loaded, the message in place of the chart says it already.
  if (session.phase === 'failed') return undefined;
  if (facts === 'absent') {
    return {
      id: 'instrument',
      tone: 'warning',
      title: `${symbolOf(instrument)} is not served on ${venueOf(instrument)} here`,
      text: 'Choose another symbol, or start the platform with a feed for it.',
      action: 'search',
    };
  }
  if (facts !== undefined && facts.status !== 'trading') {
    const text = 'The venue takes no trades in it now; the last candles stay.';
    return { id: 'instrument', tone: 'info', title: `Trading is ${facts.status}`, text };
  }
  if (session.liveRefused !== undefined) {
    const text = `${session.liveRefused}. Reload the page or choose another symbol.`;
    return { id: 'live', tone: 'warning', title: 'Live candles were refused', text, action: 'search' };
  }
  return undefined;
}

function fullNotice({ session }: NoticeFacts): Notice | undefined {
  if (!session.full) return undefined;
  const text = 'Choose a longer timeframe to look further back.';
  return { id: 'full', tone: 'info', title: 'This page holds no more candles', text };
}

/** In order of weight. */
export function noticesFor(facts: NoticeFacts): Notice[] {
  const candidates = [
    connectionNotice,
    instrumentNotice,
    platformNotice,
    venueNotice,
    historyNotice,
    fullNotice,
  ];
  return candidates.map((notice) => notice(facts)).filter((notice) => notice !== undefined);
}
