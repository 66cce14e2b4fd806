// Small amounts of money as integers of millionths of a US dollar, and counts of tokens, in short forms.
import { formatCount } from './number';

const MICRO = 1_000_000;

/** `$0.0021`, `$1.24`, `no cost`; never less than what it was: half a cent is not shown as nothing. */
export function formatMicroUsd(micro: number): string {
  if (micro <= 0) return 'no cost';
  const decimals = micro >= MICRO ? 2 : micro >= 10_000 ? 3 : micro >= 100 ? 4 : 6;
  const step = 10 ** (6 - decimals);
  const rounded = Math.ceil(micro / step) * step;
  const whole = Math.floor(rounded / MICRO);
  const fraction = String(rounded % MICRO)
    .padStart(6, '0')
    .slice(0, decimals);
  return `$${formatCount(whole)}.${fraction}`;
}

/** `940`, `12.3k`, `1.2M`. */
export function formatTokens(count: number): string {
  if (count < 1000) return String(count);
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1_000_000).toFixed(1)}M`;
}

/** `0.4 s`, `12 s`, `2 min 5 s`; under a tenth of a second in milliseconds. */
export function formatDuration(ms: number): string {
  if (ms < 100) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
