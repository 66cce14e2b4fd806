// Figures that follow from the best bid and ask.
import type { Quote } from '../market/trade';

export interface Spread {
  readonly absolute: number;
  /** Of the middle between bid and ask; 100 basis points are one percent. */
  readonly basisPoints: number;
  /** Share of the bid in both sizes, 0 to 1. */
  readonly bidShare: number;
}

export function spreadOf({ bidPrice, bidSize, askPrice, askSize }: Quote): Spread {
  const absolute = askPrice - bidPrice;
  const middle = (askPrice + bidPrice) / 2;
  const sizes = bidSize + askSize;
  return {
    absolute,
    basisPoints: middle === 0 ? 0 : (absolute / middle) * 10_000,
    bidShare: sizes === 0 ? 0.5 : bidSize / sizes,
  };
}
