// Times in the user's zone, the same moment in UTC for tooltips, and ages.

const make = (options: Intl.DateTimeFormatOptions, zone?: string) =>
  new Intl.DateTimeFormat('en-GB', { hourCycle: 'h23', ...(zone ? { timeZone: zone } : {}), ...options });

const CLOCK = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const DAY = { day: 'numeric', month: 'short', year: 'numeric' } as const;
const MINUTES = { hour: '2-digit', minute: '2-digit' } as const;

const clock = make(CLOCK);
const utcDay = make(DAY, 'UTC');
const dayAndMinutes = make({ ...DAY, ...MINUTES });
const dayAndClock = make({ ...DAY, ...CLOCK });

/** `14:03:05` in the user's zone. */
export const formatClock = (ms: number): string => clock.format(ms);

/** Open time of a candle in the user's zone, as precise as its interval; a daily candle is named by its UTC day. */
export function formatOpenTime(seconds: number, intervalSeconds: number): string {
  const ms = seconds * 1000;
  if (intervalSeconds >= 86_400) return utcDay.format(ms);
  return (intervalSeconds >= 60 ? dayAndMinutes : dayAndClock).format(ms);
}

/** `2026-11-20 13:03:05.123 UTC`; milliseconds only where there are any. */
export function formatUtc(ms: number): string {
  const text = new Date(ms).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, ms % 1000 === 0 ? 19 : 23)} UTC`;
}

/** `UTC+2`, `UTC−3:30`, `UTC`. */
export function formatZone(minutesBehindUtc: number): string {
  if (minutesBehindUtc === 0) return 'UTC';
  const ahead = Math.abs(minutesBehindUtc);
  const minutes = ahead % 60;
  return `UTC${minutesBehindUtc < 0 ? '+' : '\u2212'}${Math.floor(ahead / 60)}${minutes === 0 ? '' : `:${String(minutes).padStart(2, '0')}`}`;
}

/** Age of the last tick: `0.4 s`, `12 s`, `3 min`, `2 h`, `4 d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
