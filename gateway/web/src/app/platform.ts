// Puts the page together: one object that owns the connection and every store. Components read it from a context.
import { createFetchCandles, type FetchCandles } from '../api/candles';
import { createGet } from '../api/client';
import { createFetchHealth } from '../api/health';
import { createFetchIndicator } from '../api/indicators';
import {
  createFetchInstruments,
  createFetchVenues,
  type FetchInstruments,
  type FetchVenues,
} from '../api/instruments';
import { HealthState } from '../health/health-state';
import { ChosenIndicators } from '../indicators/chosen';
import { IndicatorBook } from '../indicators/indicator-book';
import { LiveHub } from '../live/hub';
import { MarketFeed } from '../live/market-feed';
import { candleTopic } from '../live/topic';
import { Prefetch } from '../series/prefetch';
import { SeriesCache, type SeriesEntry } from '../series/series-cache';
import { SeriesSession } from '../series/series-session';
import { FrameBatch } from '../state/frame-batch';
import { browserStorage } from '../state/saved';
import { ThemeState } from '../theme/theme';
import { DayStatsFeed } from '../watchlist/day-stats';
import { Instruments } from '../watchlist/instruments';
import { WatchList } from '../watchlist/watch-list';
import { CurrentSession } from './current-session';
import { Diagnostics } from './diagnostics';
import { ViewState } from './view-state';

export interface Platform {
  readonly fetchInstruments: FetchInstruments;
  readonly fetchVenues: FetchVenues;
  readonly frames: FrameBatch;
  readonly hub: LiveHub;
  readonly feed: MarketFeed;
  readonly health: HealthState;
  readonly instruments: Instruments;
  readonly dayStats: DayStatsFeed;
  readonly watchList: WatchList;
  readonly indicators: ChosenIndicators;
  readonly indicatorBook: IndicatorBook;
  readonly prefetch: Prefetch;
  readonly view: ViewState;
  readonly theme: ThemeState;
  readonly current: CurrentSession;
  readonly diagnostics: Diagnostics;
}

const SEED_RETRY_MS = 2000;

function socketAddress(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

const sessionOpener = (hub: LiveHub, fetchCandles: FetchCandles) => (entry: SeriesEntry) =>
  new SeriesSession(entry, {
    fetchCandles,
    watchCandles: ({ instrument, interval }, listener) =>
      hub.watch(candleTopic(instrument, interval), listener),
    now: Date.now,
  });

/** Builds everything; nothing runs before `startPlatform`. */
export function createPlatform(): Platform {
  const get = createGet();
  const storage = browserStorage();
  const frames = new FrameBatch();
  const fetchCandles = createFetchCandles(get);
  const fetchInstruments = createFetchInstruments(get);
  const health = new HealthState(createFetchHealth(get));
  const world = { connect: () => new WebSocket(socketAddress()), now: Date.now, random: Math.random };
  const hub = new LiveHub(world, health.take);
  const series = new SeriesCache();
  const view = new ViewState();
  const current = new CurrentSession(view, series, sessionOpener(hub, fetchCandles));
  const indicators = new ChosenIndicators(storage);
  return {
    fetchInstruments,
    fetchVenues: createFetchVenues(get),
    frames,
    hub,
    feed: new MarketFeed(hub, frames),
    health,
    instruments: new Instruments(fetchInstruments),
    dayStats: new DayStatsFeed(fetchCandles),
    watchList: new WatchList(storage),
    indicators,
    indicatorBook: new IndicatorBook(current.session, indicators.list, createFetchIndicator(get)),
    prefetch: new Prefetch(series, fetchCandles),
    view,
    theme: new ThemeState(storage, matchMedia('(prefers-color-scheme: dark)'), document.documentElement),
    current,
    diagnostics: new Diagnostics(view, current),
  };
}

/** Connects, asks for health, and finds something to show for a first visit. */
export function startPlatform(platform: Platform): void {
  const { hub, health, watchList, view, current, indicatorBook, diagnostics } = platform;
  diagnostics.install();
  current.start();
  indicatorBook.start();
  health.start();
  hub.socket.start();
  window.addEventListener('online', hub.socket.retryNow);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) hub.socket.retryNow();
  });
  const showFirst = () => {
    const first = watchList.items.get()?.[0];
    if (view.symbol.get() === undefined && first !== undefined) view.symbol.set(first);
  };
  watchList.items.subscribe(showFirst);
  showFirst();
  void seedWatchList(platform);
}

/** A platform that has just started knows no instruments yet: asks until there are some. */
async function seedWatchList({ fetchInstruments, instruments, watchList }: Platform): Promise<void> {
  while (watchList.items.get() === undefined) {
    const found = await fetchInstruments({ limit: 200 }).catch(() => []);
    instruments.learn(found);
    if (found.some((instrument) => instrument.live)) watchList.seed(found);
    else await new Promise((resolve) => setTimeout(resolve, SEED_RETRY_MS));
  }
}
