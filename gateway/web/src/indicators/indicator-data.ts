// The values of one indicator on the series on screen: fetched for the part in view, its end kept current.
import { isAbort, toApiError } from '../api/api-error';
import { MAX_PAGE } from '../api/candles';
import type { FetchIndicator, IndicatorOutputs } from '../api/indicators';
import type { InstrumentId } from '../market/instrument';
import type { Interval } from '../market/interval';
import { Store } from '../state/store';
import { type ChosenIndicator, isRunningSum } from './catalog';

export interface IndicatorTarget {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  readonly chosen: ChosenIndicator;
}

/** The end is asked for at most this often. */
const REFRESH_MS = 1000;
const RETRY_MS = 3000;
/** Values near the end still move with the open candle; older ones are final. */
const TAIL = 150;

export class IndicatorData {
  /** Values of each output by open time in seconds. */
  readonly outputs = new Map<string, Map<number, number>>();
  /** Counts changes: a cheap signal for legend and lines. */
  readonly version = new Store(0);
  readonly problem = new Store<string | undefined>(undefined);
  private readonly target: IndicatorTarget;
  private readonly fetchIndicator: FetchIndicator;
  private readonly abort = new AbortController();
  private busy = false;
  private again = false;
  /** The gateway will not compute it for this series: asking again would not help. */
  private refused = false;
  private covered: { from: number; until: number } | undefined;
  private wanted: { from: number; until: number; bars: number } | undefined;
  private lastAsked = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(target: IndicatorTarget, fetchIndicator: FetchIndicator) {
    this.target = target;
    this.fetchIndicator = fetchIndicator;
  }

  value(output: string, time: number): number | undefined {
    return this.outputs.get(output)?.get(time);
  }

  /**
   * Says which candles are on the chart: `bars` of them between the open times `from` and `until`. `moved` means that
   * candles at the end have changed.
   */
  want(from: number, until: number, bars: number, moved: boolean): void {
    this.wanted = { from, until, bars };
    const missing = this.covered === undefined || from < this.covered.from || until > this.covered.until;
    if (missing || moved) this.askSoon();
  }

  stop(): void {
    this.abort.abort();
    clearTimeout(this.timer);
  }

  private askSoon(delay = this.dueIn()): void {
    if (this.busy) this.again = true;
    if (this.busy || this.refused || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.ask();
    }, delay);
  }

  /** The first values must not wait; after them the pause between two requests is kept. */
  private dueIn(): number {
    return this.covered === undefined ? 0 : Math.max(0, this.lastAsked + REFRESH_MS - Date.now());
  }

  /** One request at a time: first what is missing on the left, else the end. */
  private async ask(): Promise<void> {
    const { wanted, covered } = this;
    if (wanted === undefined || this.busy) return;
    const whole = isRunningSum(this.target.chosen.kind);
    const older = covered !== undefined && wanted.from < covered.from;
    const lookBack = Math.max(TAIL, ...this.target.chosen.params.map((param) => param * 4));
    const limit = Math.min(
      MAX_PAGE,
      Math.ceil(covered === undefined || older || whole ? wanted.bars + 10 : lookBack),
    );
    this.busy = true;
    this.again = false;
    this.lastAsked = Date.now();
    try {
      const { instrument, interval, chosen } = this.target;
      const { kind: indicator, params } = chosen;
      const before = older && !whole ? covered.from : undefined;
      const query = { instrument, interval, indicator, params, before, limit };
      const outputs = await this.fetchIndicator(query, this.abort.signal);
      if (this.abort.signal.aborted) return;
      if (whole) this.forget(wanted.from);
      this.take(outputs, limit, older || covered === undefined ? wanted.from : undefined);
      this.problem.set(undefined);
      this.busy = false;
      const missing =
        this.wanted !== undefined && this.covered !== undefined && this.wanted.from < this.covered.from;
      if (this.again || missing) this.askSoon();
    } catch (error) {
      this.busy = false;
      if (isAbort(error)) return;
      const failure = toApiError(error);
      this.problem.set(`${failure.message} ${failure.advice}`);
      this.refused = !failure.retryable;
      this.askSoon(RETRY_MS);
    }
  }

  /** Other values take the place of all; before those there are none to be had. */
  private forget(from: number): void {
    for (const values of this.outputs.values()) values.clear();
    this.covered = { from, until: from };
  }

  /** `reach` is the open time that the request was meant to reach back to, if it was one for older values. */
  private take(outputs: IndicatorOutputs, limit: number, reach: number | undefined): void {
    let earliest = Number.POSITIVE_INFINITY;
    let latest = Number.NEGATIVE_INFINITY;
    let count = 0;
    for (const [name, points] of Object.entries(outputs)) {
      const values = this.outputs.get(name) ?? new Map<number, number>();
      this.outputs.set(name, values);
      count = Math.max(count, points.length);
      for (const { time, value } of points) {
        earliest = Math.min(earliest, time);
        latest = Math.max(latest, time);
        if (value !== undefined) values.set(time, value);
      }
    }
    // Fewer points than asked for: there is nothing before them.
    if (reach !== undefined && count < limit) earliest = Math.min(earliest, reach);
    const known = this.covered ?? { from: earliest, until: latest };
    this.covered = { from: Math.min(known.from, earliest), until: Math.max(known.until, latest) };
    this.version.set(this.version.get() + 1);
  }
}
