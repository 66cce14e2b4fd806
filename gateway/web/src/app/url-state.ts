// What of the page is in its address: symbol and interval, so that a link or a reload shows the same chart.
import { type InstrumentId, isInstrumentId } from '../market/instrument';
import { type Interval, intervalLabel, parseInterval } from '../market/interval';

export interface UrlState {
  readonly symbol: InstrumentId | undefined;
  readonly interval: Interval | undefined;
}

/** Reads a query string; what is not valid counts as absent. */
export function parseUrl(search: string): UrlState {
  const params = new URLSearchParams(search);
  const symbol = params.get('symbol')?.toUpperCase();
  return {
    symbol: isInstrumentId(symbol) ? symbol : undefined,
    interval: parseInterval(params.get('interval')?.toLowerCase() ?? ''),
  };
}

/** `?symbol=SIM:BTC/USDT&interval=1m`; other parameters stay. */
export function formatUrl(search: string, symbol: InstrumentId | undefined, interval: Interval): string {
  const params = new URLSearchParams(search);
  if (symbol === undefined) params.delete('symbol');
  else params.set('symbol', symbol);
  params.set('interval', intervalLabel(interval));
  // Both characters are allowed in a query and read better as they are.
  return `?${params.toString().replaceAll('%3A', ':').replaceAll('%2F', '/')}`;
}
