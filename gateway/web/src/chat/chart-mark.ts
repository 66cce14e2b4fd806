// How far this tab has carried out what the assistant does to the chart: each action once, also over a reload.
import { readSaved, type TextStorage, writeSaved } from '../state/saved';

export interface Place {
  readonly conversationId: string;
  readonly turnId: string;
  readonly sequence: number;
}

const KEY = 'chart-mark.v1';

function check(value: unknown): Place | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { conversationId, turnId, sequence } = value as Record<string, unknown>;
  if (typeof conversationId !== 'string' || typeof turnId !== 'string' || typeof sequence !== 'number')
    return undefined;
  return { conversationId, turnId, sequence };
}

/** Turn ids are ULIDs: they sort by time. */
const isBehind = (place: Place, mark: Place): boolean =>
  place.turnId > mark.turnId || (place.turnId === mark.turnId && place.sequence > mark.sequence);

export class ChartMark {
  private readonly storage: TextStorage | undefined;
  private mark: Place | undefined;

  /** With the storage of the tab, not that of the browser: each tab has a chart of its own. */
  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
    this.mark = readSaved(storage, KEY, check);
  }

  /** True once for each place behind the mark, which moves there. */
  pass(place: Place): boolean {
    const { mark } = this;
    if (mark === undefined || mark.conversationId !== place.conversationId || !isBehind(place, mark))
      return false;
    this.move(place);
    return true;
  }

  /** A conversation that this tab has not followed begins at its newest turn: what was before is not done again. */
  beginAt(place: Place): void {
    if (this.mark?.conversationId !== place.conversationId) this.move(place);
  }

  private move(place: Place): void {
    this.mark = place;
    writeSaved(this.storage, KEY, place);
  }
}
