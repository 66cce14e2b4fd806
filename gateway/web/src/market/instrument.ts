// What can be watched: instrument ids (`VENUE:SYMBOL`) and the venue's facts about an instrument.

/** `VENUE:BASE/QUOTE`, for example `SIM:BTC/USDT`. */
export type InstrumentId = `${string}:${string}`;

export type InstrumentKind = 'spot' | 'perpetual' | 'future';
export type InstrumentStatus = 'trading' | 'halted' | 'closed';

export interface Instrument {
  readonly id: InstrumentId;
  readonly venue: string;
  readonly symbol: string;
  readonly kind: InstrumentKind;
  readonly status: InstrumentStatus;
  /** Decimal text as the venue gives it, for example `0.01`; undefined where it does not say. */
  readonly tickSize: string | undefined;
  readonly lotSize: string | undefined;
  /** True when a feed of this platform delivers it now. */
  readonly live: boolean;
}

export const instrumentId = (venue: string, symbol: string): InstrumentId => `${venue}:${symbol}`;

const ID_PATTERN = /^[A-Z0-9][A-Z0-9_-]{0,31}:[^\s:|]{1,64}$/;

export const isInstrumentId = (text: unknown): text is InstrumentId =>
  typeof text === 'string' && ID_PATTERN.test(text);

export const venueOf = (id: InstrumentId): string => id.slice(0, id.indexOf(':'));

export const symbolOf = (id: InstrumentId): string => id.slice(id.indexOf(':') + 1);
