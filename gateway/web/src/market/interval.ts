// The seven candle intervals: how the wire spells them, how the page shows them, which key selects them.

export const INTERVALS = ['1s', '60s', '300s', '900s', '3600s', '14400s', '86400s'] as const;

/** A candle length in the wire's spelling, for example `60s`. */
export type Interval = (typeof INTERVALS)[number];

const LABELS: Record<Interval, string> = {
  '1s': '1s',
  '60s': '1m',
  '300s': '5m',
  '900s': '15m',
  '3600s': '1h',
  '14400s': '4h',
  '86400s': '1d',
};

const NAMES: Record<Interval, string> = {
  '1s': '1 second',
  '60s': '1 minute',
  '300s': '5 minutes',
  '900s': '15 minutes',
  '3600s': '1 hour',
  '14400s': '4 hours',
  '86400s': '1 day',
};

/** The traders' short form, for example `1m`. */
export const intervalLabel = (interval: Interval): string => LABELS[interval];

/** In words, for screen readers and tooltips. */
export const intervalName = (interval: Interval): string => NAMES[interval];

export const intervalSeconds = (interval: Interval): number => Number.parseInt(interval, 10);

/** Reads either spelling (`60s` or `1m`); undefined when it is neither. */
export function parseInterval(text: string): Interval | undefined {
  return INTERVALS.find((interval) => interval === text || LABELS[interval] === text);
}
