// How many decimals an instrument's prices and sizes have: the venue's, or a guess until they are known.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { decimalsOf, guessDecimals } from '../format/number';
import type { InstrumentId } from '../market/instrument';
import { useKeyed } from '../state/store';

export interface Precision {
  readonly price: number;
  readonly size: number;
}

/** Sizes with more decimals than this are not readable in a list. */
const MAX_SIZE_DECIMALS = 6;
const GUESSED_SIZE_DECIMALS = 4;
const UNKNOWN = { tickSize: undefined, lotSize: undefined };

export function usePrecision(id: InstrumentId, price: number | undefined): Precision {
  const { instruments } = usePlatform();
  const facts = useKeyed(instruments.facts, id);
  useEffect(() => instruments.need(id), [instruments, id]);
  const { tickSize, lotSize } = facts === undefined || facts === 'absent' ? UNKNOWN : facts;
  return {
    price: tickSize === undefined ? guessDecimals(price ?? 0) : decimalsOf(tickSize),
    size: lotSize === undefined ? GUESSED_SIZE_DECIMALS : Math.min(MAX_SIZE_DECIMALS, decimalsOf(lotSize)),
  };
}
