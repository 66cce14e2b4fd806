// Live market events as the page keeps them: single trades and the best bid and ask.

export type Side = 'buy' | 'sell' | 'unknown';

export interface Trade {
  readonly tradeId: string;
  /** Venue clock, milliseconds since the epoch. */
  readonly time: number;
  readonly price: number;
  readonly size: number;
  /** The taker's side. */
  readonly side: Side;
}

export interface Quote {
  readonly time: number;
  readonly bidPrice: number;
  readonly bidSize: number;
  readonly askPrice: number;
  readonly askSize: number;
}
