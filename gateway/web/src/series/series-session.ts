// Fills the series on screen: first page, live candles, older pages on demand, and the tail again after a break.
import { type ApiError, isAbort, toApiError } from '../api/api-error';
import type { CandlePage, FetchCandles, HistoryState } from '../api/candles';
import type { TopicListener } from '../live/hub';
import type { Candle } from '../market/candle';
import { intervalSeconds } from '../market/interval';
import { Store } from '../state/store';
import { FIRST_PAGE, olderPage, tailPage } from './page-size';
import type { SeriesEntry } from './series-cache';

export interface SessionState {
  /** `loading` until there is something to draw or a reason why not. */
  readonly phase: 'loading' | 'ready' | 'failed';
  readonly error: ApiError | undefined;
  /** Of the newest page and of the last older page. */
  readonly history: HistoryState;
  readonly olderHistory: HistoryState;
  readonly loadingOlder: boolean;
  /** Epoch milliseconds of the next automatic attempt, when one is planned. */
  readonly retryAt: number | undefined;
  /** The gateway refused live candles for this series. */
  readonly liveRefused: string | undefined;
  /** This page keeps no more candles of one series. */
  readonly full: boolean;
}

export interface SessionWorld {
  readonly fetchCandles: FetchCandles;
  readonly watchCandles: (entry: SeriesEntry, listener: TopicListener) => () => void;
  readonly now: () => number;
}

/** More than two days of one-second candles. */
export const SERIES_LIMIT = 200_000;
/** Live candles may pass the limit by this much before the oldest are dropped. */
const TRIM_SLACK = 10_000;
const RETRY_MS = [1000, 2000, 4000, 8000];

type Load = { readonly what: 'newest' } | { readonly what: 'older'; readonly visibleBars: number };

const NEWEST: Load = { what: 'newest' };

export class SeriesSession {
  readonly entry: SeriesEntry;
  readonly state: Store<SessionState>;
  private readonly world: SessionWorld;
  private readonly abort = new AbortController();
  private stopLive: (() => void) | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private attempts = 0;
  private busy = false;
  private newestAgain = false;
  private planned: Load | undefined;
  private olderBlocked = false;
  /** Live candles follow the fetched ones without a hole. */
  private liveJoined = false;

  constructor(entry: SeriesEntry, world: SessionWorld) {
    this.entry = entry;
    this.world = world;
    this.state = new Store<SessionState>({
      phase: entry.loaded ? 'ready' : 'loading',
      error: undefined,
      history: 'complete',
      olderHistory: 'complete',
      loadingOlder: false,
      retryAt: undefined,
      liveRefused: undefined,
      full: false,
    });
  }

  start(): void {
    this.stopLive = this.world.watchCandles(this.entry, {
      message: (message) => {
        if (message.type === 'candle') this.takeLive(message.candle);
        if (message.type === 'lagged') this.rejoin();
      },
      // What closed between the first answer and this moment is only in the answer that is asked for now.
      subscribed: () => {
        this.patch({ liveRefused: undefined });
        this.rejoin();
      },
      refused: (reason) => this.patch({ liveRefused: reason }),
    });
    this.run(NEWEST);
  }

  stop(): void {
    this.abort.abort();
    clearTimeout(this.retryTimer);
    this.stopLive?.();
  }

  /** Tries again now what failed or is pending. */
  readonly retry = (): void => {
    const load = this.planned ?? NEWEST;
    this.attempts = 0;
    this.olderBlocked = false;
    this.run(load);
  };

  /** Fetches the page before the oldest candle, unless there is none or one is on its way. */
  loadOlder(visibleBars: number): void {
    const { entry } = this;
    if (this.busy || this.planned !== undefined || this.olderBlocked) return;
    if (entry.reachedStart || entry.solidFrom === undefined) return;
    if (entry.series.candles.length >= SERIES_LIMIT) this.patch({ full: true });
    else this.run({ what: 'older', visibleBars });
  }

  private rejoin(): void {
    this.liveJoined = false;
    this.run(NEWEST);
  }

  private run(load: Load): void {
    if (this.busy) {
      if (load.what === 'newest') this.newestAgain = true;
      return;
    }
    if (load.what === 'older') this.patch({ loadingOlder: true });
    void this.ask(load);
  }

  private async ask(load: Load): Promise<void> {
    this.busy = true;
    this.cancelPlan();
    try {
      const history = await (load.what === 'older' ? this.askOlder(load.visibleBars) : this.askNewest());
      if (history === 'pending') this.planRetry(load);
      else this.attempts = 0;
    } catch (error) {
      if (isAbort(error)) return;
      this.failed(load, toApiError(error));
    } finally {
      this.busy = false;
      if (this.newestAgain && !this.abort.signal.aborted) {
        this.newestAgain = false;
        this.run(NEWEST);
      }
    }
  }

  private async askNewest(): Promise<HistoryState> {
    const { entry } = this;
    const step = intervalSeconds(entry.interval);
    const tail =
      entry.solidUntil === undefined ? FIRST_PAGE : tailPage(entry.solidUntil, this.world.now() / 1000, step);
    const page = await this.fetch(tail ?? FIRST_PAGE);
    if (tail !== undefined || this.reachesBack(page)) entry.series.merge(page.candles);
    else this.startAfresh(page);
    entry.loaded = true;
    if (page.history !== 'pending') {
      entry.solidFrom ??= page.candles[0]?.time;
      entry.solidUntil = page.candles.at(-1)?.time ?? entry.solidUntil;
      this.liveJoined = true;
    }
    this.patch({ phase: 'ready', error: undefined, history: page.history });
    return page.history;
  }

  private async askOlder(visibleBars: number): Promise<HistoryState> {
    const { entry } = this;
    const page = await this.fetch(olderPage(visibleBars), entry.solidFrom);
    entry.series.merge(page.candles);
    if (page.history !== 'pending') {
      const from = page.candles[0]?.time ?? page.older;
      entry.reachedStart = from === undefined;
      entry.solidFrom = from ?? entry.solidFrom;
    }
    this.patch({ error: undefined, olderHistory: page.history, loadingOlder: false });
    return page.history;
  }

  private async fetch(limit: number, before?: number): Promise<CandlePage> {
    const { instrument, interval } = this.entry;
    const page = await this.world.fetchCandles({ instrument, interval, before, limit }, this.abort.signal);
    this.abort.signal.throwIfAborted();
    return page;
  }

  /** A market that stood still has few candles in a long time: then a short page may well reach the known ones. */
  private reachesBack(page: CandlePage): boolean {
    const first = page.candles[0];
    return first !== undefined && first.time <= (this.entry.solidUntil ?? Number.NEGATIVE_INFINITY);
  }

  /** The break was longer than a page: candles that would leave a hole are dropped. */
  private startAfresh(page: CandlePage): void {
    this.entry.series.replace(page.candles);
    this.entry.reachedStart = false;
    this.entry.solidFrom = undefined;
    this.entry.solidUntil = undefined;
  }

  private failed(load: Load, error: ApiError): void {
    this.patch({ error, loadingOlder: false, ...(this.entry.loaded ? {} : { phase: 'failed' as const }) });
    if (error.retryable) this.planRetry(load);
    else if (load.what === 'older') this.olderBlocked = true;
  }

  private takeLive(candle: Candle): void {
    const { entry } = this;
    entry.series.merge([candle]);
    if (this.liveJoined && candle.time > (entry.solidUntil ?? 0)) entry.solidUntil = candle.time;
    if (entry.series.candles.length > SERIES_LIMIT + TRIM_SLACK) {
      entry.series.keepNewest(SERIES_LIMIT);
      entry.solidFrom = entry.series.first?.time;
      entry.reachedStart = false;
    }
  }

  private planRetry(load: Load): void {
    const delay = RETRY_MS[Math.min(this.attempts, RETRY_MS.length - 1)] as number;
    this.attempts += 1;
    this.planned = load;
    this.patch({ retryAt: this.world.now() + delay });
    this.retryTimer = setTimeout(() => this.run(load), delay);
  }

  private cancelPlan(): void {
    clearTimeout(this.retryTimer);
    this.planned = undefined;
    this.patch({ retryAt: undefined });
  }

  private patch(change: Partial<SessionState>): void {
    this.state.set({ ...this.state.get(), ...change });
  }
}
