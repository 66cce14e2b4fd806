// Puts the page together: one object that owns the connection and every store. Components read it from a context.

import { createAccountApi } from '../account/account-api';
import { AccountPages } from '../account/account-pages';
import { createFetchCandles, type FetchCandles } from '../api/candles';
import { createCall, createGet } from '../api/client';
import { createFetchHealth } from '../api/health';
import { createFetchIndicator } from '../api/indicators';
import {
  createFetchInstruments,
  createFetchVenues,
  type FetchInstruments,
  type FetchVenues,
} from '../api/instruments';
import { AnnotationBook } from '../chart/annotations';
import { ChartControl } from '../chart/chart-control';
import { ChartMark } from '../chat/chart-mark';
import { Chat } from '../chat/chat';
import { createChatApi } from '../chat/chat-api';
import { Outbox } from '../chat/outbox';
import { newUlid } from '../chat/ulid';
import { ActivityLog, createActivityApi } from '../drawer/activity';
import { Panels } from '../drawer/panels';
import { HealthState } from '../health/health-state';
import { ChosenIndicators } from '../indicators/chosen';
import { IndicatorBook } from '../indicators/indicator-book';
import { LiveHub } from '../live/hub';
import { MarketFeed } from '../live/market-feed';
import { candleTopic } from '../live/topic';
import { Prefetch } from '../series/prefetch';
import { SeriesCache, type SeriesEntry } from '../series/series-cache';
import { SeriesSession } from '../series/series-session';
import { type Arrival, takeArrival } from '../session/login-link';
import { browserWorld, Session } from '../session/session';
import { FrameBatch } from '../state/frame-batch';
import { browserStorage, tabStorage } from '../state/saved';
import { ThemeState } from '../theme/theme';
import { DayStatsFeed } from '../watchlist/day-stats';
import { Instruments } from '../watchlist/instruments';
import { WatchList } from '../watchlist/watch-list';
import { CurrentSession } from './current-session';
import { Diagnostics } from './diagnostics';
import { LayoutState } from './layout-state';
import { ViewState } from './view-state';

export interface Platform {
  readonly session: Session;
  readonly chat: Chat;
  readonly activity: ActivityLog;
  readonly panels: Panels;
  readonly accountPages: AccountPages;
  readonly annotations: AnnotationBook;
  readonly chartControl: ChartControl;
  readonly layout: LayoutState;
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
const SESSION_RETRY_MS = 5000;

function socketAddress(path = '/ws'): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path}`;
}

const chatAddress = (ticket: string): string =>
  `${socketAddress('/ws/chat')}?ticket=${encodeURIComponent(ticket)}`;

const sessionOpener = (hub: LiveHub, fetchCandles: FetchCandles) => (entry: SeriesEntry) =>
  new SeriesSession(entry, {
    fetchCandles,
    watchCandles: ({ instrument, interval }, listener) =>
      hub.watch(candleTopic(instrument, interval), listener),
    now: Date.now,
  });

/** The parts that belong to whoever is signed in. */
function createPersonal(view: ViewState, indicators: ChosenIndicators, frames: FrameBatch) {
  const storage = browserStorage();
  const session = new Session(browserWorld(storage));
  const call = createCall('', session.fetch);
  const annotations = new AnnotationBook(storage);
  const chartControl = new ChartControl(view, indicators, annotations);
  const activity: ActivityLog = new ActivityLog({
    ...createActivityApi(call),
    now: Date.now,
    confirm: (eventIds) => chat.socket.send({ op: 'confirm', event_ids: eventIds }),
    isVisible: () => !document.hidden,
  });
  const chat: Chat = new Chat({
    api: createChatApi(call),
    socket: {
      connect: (ticket) => new WebSocket(chatAddress(ticket)),
      now: Date.now,
      random: Math.random,
    },
    frames,
    mark: new ChartMark(tabStorage()),
    outbox: new Outbox(tabStorage()),
    newId: newUlid,
    applyToChart: chartControl.apply,
    userEvent: activity.take,
    sessionEnded: () => void session.renew().then((good) => followAgain(good)),
  });
  // A gateway that refuses the ticket and cannot renew the session either is given time.
  const followAgain = (good: boolean) => {
    if (session.user !== undefined) setTimeout(chat.reconnect, good ? 0 : SESSION_RETRY_MS);
  };
  const panels = new Panels(call);
  const accountPages = new AccountPages(createAccountApi(call));
  return { session, chat, activity, panels, accountPages, annotations, chartControl };
}

/** Builds everything; nothing runs before `startPlatform`. */
export function createPlatform(): Platform {
  const storage = browserStorage();
  const frames = new FrameBatch();
  const view = new ViewState();
  const indicators = new ChosenIndicators(storage);
  const personal = createPersonal(view, indicators, frames);
  const get = createGet('', personal.session.fetch);
  const fetchCandles = createFetchCandles(get);
  const fetchInstruments = createFetchInstruments(get);
  const health = new HealthState(createFetchHealth(get));
  const world = { connect: () => new WebSocket(socketAddress()), now: Date.now, random: Math.random };
  const hub = new LiveHub(world, health.take);
  const series = new SeriesCache();
  const current = new CurrentSession(view, series, sessionOpener(hub, fetchCandles));
  return {
    ...personal,
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
    layout: new LayoutState(storage),
    theme: new ThemeState(storage, matchMedia('(prefers-color-scheme: dark)'), document.documentElement),
    current,
    diagnostics: new Diagnostics(view, current, indicators, personal.annotations),
  };
}

/** Connects, asks for health, and finds something to show for a first visit. */
export function startPlatform(platform: Platform, arrival: Arrival): void {
  const { hub, chat, activity, health, watchList, view, current, indicatorBook, diagnostics } = platform;
  diagnostics.install();
  current.start();
  indicatorBook.start();
  health.start();
  hub.socket.start();
  const retryNow = () => {
    hub.socket.retryNow();
    chat.socket.retryNow();
  };
  window.addEventListener('online', retryNow);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    retryNow();
    activity.confirmShown();
  });
  chat.socket.connection.subscribe(() => {
    if (chat.socket.connection.get().status === 'open') activity.confirmShown();
  });
  followSession(platform, arrival);
  const showFirst = () => {
    const first = watchList.items.get()?.[0];
    if (view.symbol.get() === undefined && first !== undefined) view.symbol.set(first);
  };
  watchList.items.subscribe(showFirst);
  showFirst();
  void seedWatchList(platform);
}

/** Starts what belongs to a user when one is signed in, and forgets it when they leave. */
function followSession(platform: Platform, arrival: Arrival): void {
  const { session, chat, activity, panels, accountPages, annotations, view } = platform;
  let userId: string | undefined;
  let { wantsLogin } = arrival;
  const forget = () => {
    if (userId !== undefined) annotations.clearAll();
    userId = undefined;
    chat.stop();
    activity.clear();
    panels.reset();
    accountPages.reset();
  };
  session.state.subscribe(() => {
    const state = session.state.get();
    if (state.status === 'signed-in') {
      if (userId !== undefined && userId !== state.user.userId) forget();
      userId = state.user.userId;
      wantsLogin = false;
      if (view.overlay.get() === 'sign-in') view.overlay.set(undefined);
      chat.start();
    } else if (state.status === 'signed-out') {
      forget();
      if (view.overlay.get() === 'account') view.overlay.set(undefined);
      if (wantsLogin) view.overlay.set('sign-in');
      wantsLogin = false;
    }
  });
  void session.start(arrival);
  // A link that is opened in a tab that is here already only changes what stands behind the `#`.
  window.addEventListener('hashchange', () => {
    const later = takeArrival();
    if (later.token !== undefined) void session.start(later);
  });
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
