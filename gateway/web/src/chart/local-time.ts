// Puts the time axis into the user's zone: day and hour marks fall on local midnight and local hours.
import {
  defaultHorzScaleBehavior,
  type IHorzScaleBehavior,
  type InternalHorzScaleItem,
  type TickMark,
  type Time,
} from 'lightweight-charts';

/** Seconds that the user's zone is ahead of UTC at a moment; remembered per quarter of an hour. */
export function createZoneOffset(minutesBehindUtc = (ms: number) => new Date(ms).getTimezoneOffset()) {
  let quarter = Number.NaN;
  let offset = 0;
  return (seconds: number): number => {
    const current = Math.floor(seconds / 900);
    if (current !== quarter) {
      quarter = current;
      offset = -60 * minutesBehindUtc(current * 900_000);
    }
    return offset;
  };
}

/**
 * Steps of the axis with their weights: a mark of greater weight is drawn first, so the axis shows round times at every
 * zoom. The library's own steps keep its weights.
 */
const STEPS: readonly (readonly [seconds: number, weight: number])[] = [
  [43_200, 33],
  [21_600, 32],
  [10_800, 31],
  [3600, 30],
  [1800, 22],
  [900, 21.5],
  [300, 21],
  [60, 20],
  [30, 13],
  [15, 12],
  [5, 11],
  [1, 10],
];
const YEAR = 70;
const MONTH = 60;
const DAY = 50;
const MINUTE = 20;

/** Weight of the mark at `current` after `previous`, both in local seconds. */
export function markWeight(current: number, previous: number): number {
  if (Math.floor(current / 86_400) !== Math.floor(previous / 86_400)) {
    const now = new Date(current * 1000);
    const before = new Date(previous * 1000);
    if (now.getUTCFullYear() !== before.getUTCFullYear()) return YEAR;
    return now.getUTCMonth() === before.getUTCMonth() ? DAY : MONTH;
  }
  return STEPS.find(([step]) => Math.floor(current / step) !== Math.floor(previous / step))?.[1] ?? 0;
}

type Point = Parameters<IHorzScaleBehavior<Time>['fillWeightsForPoints']>[0][number];

export interface AxisStyle {
  /** Daily candles open at midnight UTC and are named by their UTC day. */
  readonly utcDays: boolean;
  readonly seconds: boolean;
}

/** The library's time axis with local instead of UTC boundaries; times in the data stay UTC. */
export class LocalTimeBehavior extends defaultHorzScaleBehavior() {
  style: AxisStyle = { utcDays: false, seconds: false };
  private readonly offset = createZoneOffset();

  override formatTickmark(mark: TickMark): string {
    return formatMark(Number(this.key(mark.time)), mark.weight, this.style);
  }

  override fillWeightsForPoints(points: readonly Point[], startIndex: number): void {
    const local = (point: Point | undefined): number => {
      if (point === undefined) return 0;
      const seconds = Number(this.key(point.time as InternalHorzScaleItem));
      return this.style.utcDays ? seconds : seconds + this.offset(seconds);
    };
    const first = local(points[0]);
    // For the first mark the point before is guessed to be one average step away.
    const step = points.length > 1 ? (local(points.at(-1)) - first) / (points.length - 1) : 0;
    let previous = startIndex === 0 ? first - step : local(points[startIndex - 1]);
    for (let i = startIndex; i < points.length; i += 1) {
      const point = points[i] as Point;
      const current = local(point);
      point.timeWeight = markWeight(current, previous) as Point['timeWeight'];
      previous = current;
    }
  }
}

const makeFormats = (zone: Intl.DateTimeFormatOptions) => {
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat('en-GB', { hourCycle: 'h23', ...zone, ...options });
  return {
    year: format({ year: 'numeric' }),
    month: format({ month: 'short' }),
    day: format({ day: 'numeric', month: 'short' }),
    minute: format({ hour: '2-digit', minute: '2-digit' }),
    second: format({ hour: '2-digit', minute: '2-digit', second: '2-digit' }),
  };
};

const localFormats = makeFormats({});
const utcFormats = makeFormats({ timeZone: 'UTC' });

/** The text of a mark says what changed there: a year, a month, a day, or the time. */
export function formatMark(
  seconds: number,
  weight: number,
  { utcDays, seconds: withSeconds }: AxisStyle,
): string {
  const formats = utcDays ? utcFormats : localFormats;
  const text = (format: Intl.DateTimeFormat) => format.format(seconds * 1000);
  if (weight >= YEAR) return text(formats.year);
  if (weight >= MONTH) return text(formats.month);
  if (weight >= DAY) return text(formats.day);
  return text(weight < MINUTE && withSeconds ? formats.second : formats.minute);
}
