// The chosen indicators with their values for the series on screen: made when needed, stopped when not.
import type { FetchIndicator } from '../api/indicators';
import type { SeriesEntry } from '../series/series-cache';
import { type Readable, Store } from '../state/store';
import { type ChosenIndicator, chosenKey } from './catalog';
import { IndicatorData } from './indicator-data';

export interface DrawnIndicator {
  readonly chosen: ChosenIndicator;
  readonly data: IndicatorData;
}

export class IndicatorBook {
  readonly drawn = new Store<readonly DrawnIndicator[]>([]);
  private readonly session: Readable<{ readonly entry: SeriesEntry } | undefined>;
  private readonly chosen: Readable<readonly ChosenIndicator[]>;
  private readonly fetchIndicator: FetchIndicator;
  private entry: SeriesEntry | undefined;

  constructor(
    session: Readable<{ readonly entry: SeriesEntry } | undefined>,
    chosen: Readable<readonly ChosenIndicator[]>,
    fetchIndicator: FetchIndicator,
  ) {
    this.session = session;
    this.chosen = chosen;
    this.fetchIndicator = fetchIndicator;
  }

  start(): void {
    this.session.subscribe(this.follow);
    this.chosen.subscribe(this.follow);
    this.follow();
  }

  private readonly follow = (): void => {
    const entry = this.session.get()?.entry;
    const before = this.drawn.get();
    const kept =
      entry === this.entry ? new Map(before.map((item) => [chosenKey(item.chosen), item])) : new Map();
    this.entry = entry;
    const list: DrawnIndicator[] =
      entry === undefined
        ? []
        : this.chosen
            .get()
            .map((chosen) => kept.get(chosenKey(chosen)) ?? { chosen, data: this.make(entry, chosen) });
    for (const item of before) if (!list.includes(item)) item.data.stop();
    this.drawn.set(list);
  };

  private make({ instrument, interval }: SeriesEntry, chosen: ChosenIndicator): IndicatorData {
    return new IndicatorData({ instrument, interval, chosen }, this.fetchIndicator);
  }
}
