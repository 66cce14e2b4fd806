// Merging new trades into the bounded list behind the tape: by venue time, without duplicates.
import type { Trade } from '../market/trade';

export const TAPE_LENGTH = 120;

/**
 * Returns the newest `TAPE_LENGTH` trades, newest first. A trade id that is already there is a duplicate print and is
 * left out; a late print goes where its venue time says. Returns `known` itself when nothing changed.
 */
export function mergeTrades(known: readonly Trade[], fresh: readonly Trade[]): readonly Trade[] {
  const ids = new Set(known.map((trade) => trade.tradeId));
  const merged = [...known];
  for (const trade of fresh) {
    if (ids.has(trade.tradeId)) continue;
    ids.add(trade.tradeId);
    const later = merged.findIndex((other) => other.time <= trade.time);
    merged.splice(later === -1 ? merged.length : later, 0, trade);
  }
  if (merged.length === known.length) return known;
  return merged.slice(0, TAPE_LENGTH);
}
