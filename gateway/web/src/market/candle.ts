// A candle and the rule that says which of two versions of the same candle is the newer one.

export interface Candle {
  /** Open time in whole seconds since the epoch: the key inside a series. */
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly trades: number;
  readonly revision: number;
  readonly closed: boolean;
  readonly repaired: boolean;
}

/**
 * True when `incoming` replaces `known` (same open time). A higher revision always wins; within one revision a closed
 * candle beats an open one, and an open one is replaced by one that has seen at least as many trades. Everything
 * else is a duplicate or an older message that was overtaken.
 */
export function supersedes(incoming: Candle, known: Candle): boolean {
  if (incoming.revision !== known.revision) return incoming.revision > known.revision;
  if (known.closed) return false;
  return incoming.closed || incoming.trades >= known.trades;
}
