// What the page shows: symbol, interval and, on a phone, which tab. Symbol and interval are mirrored in the address.
import type { InstrumentId } from '../market/instrument';
import type { Interval } from '../market/interval';
import { Store } from '../state/store';
import { formatUrl, parseUrl } from './url-state';

export type Tab = 'watch' | 'chart' | 'trades' | 'chat' | 'work';
/** What lies over the page. */
export type Overlay = 'palette' | 'shortcuts' | 'sign-in' | 'account';

export class ViewState {
  readonly symbol: Store<InstrumentId | undefined>;
  readonly interval: Store<Interval>;
  readonly tab = new Store<Tab>('chart');
  readonly overlay = new Store<Overlay | undefined>(undefined);

  constructor() {
    const start = parseUrl(location.search);
    this.symbol = new Store(start.symbol);
    this.interval = new Store(start.interval ?? '60s');
    this.symbol.subscribe(this.writeUrl);
    this.interval.subscribe(this.writeUrl);
    window.addEventListener('popstate', this.readUrl);
  }

  /** Opens a symbol the way a user does: on a phone this also goes to the chart. */
  readonly open = (symbol: InstrumentId): void => {
    this.symbol.set(symbol);
    this.tab.set('chart');
  };

  private readonly readUrl = (): void => {
    const { symbol, interval } = parseUrl(location.search);
    if (symbol !== undefined) this.symbol.set(symbol);
    if (interval !== undefined) this.interval.set(interval);
  };

  private readonly writeUrl = (): void => {
    const url = formatUrl(location.search, this.symbol.get(), this.interval.get());
    if (url !== location.search) history.replaceState(null, '', url + location.hash);
  };
}
