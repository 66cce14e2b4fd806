// Follows the symbol and interval on screen: ends the series session before and starts the next one at once.
import type { SeriesCache, SeriesEntry } from '../series/series-cache';
import type { SeriesSession } from '../series/series-session';
import { Store } from '../state/store';
import type { ViewState } from './view-state';

export class CurrentSession {
  readonly session = new Store<SeriesSession | undefined>(undefined);
  private readonly view: Pick<ViewState, 'symbol' | 'interval'>;
  private readonly cache: SeriesCache;
  private readonly open: (entry: SeriesEntry) => SeriesSession;

  constructor(
    view: Pick<ViewState, 'symbol' | 'interval'>,
    cache: SeriesCache,
    open: (entry: SeriesEntry) => SeriesSession,
  ) {
    this.view = view;
    this.cache = cache;
    this.open = open;
  }

  start(): void {
    this.view.symbol.subscribe(this.follow);
    this.view.interval.subscribe(this.follow);
    this.follow();
  }

  private readonly follow = (): void => {
    const symbol = this.view.symbol.get();
    if (symbol === undefined) return;
    const before = this.session.get();
    before?.stop();
    const next = this.open(this.cache.open(symbol, this.view.interval.get()));
    next.start();
    this.session.set(next);
  };
}
