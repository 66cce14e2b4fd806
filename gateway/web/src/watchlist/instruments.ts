// The venue's facts about instruments (precision, kind, status), asked once for each and kept.
import type { FetchInstruments } from '../api/instruments';
import { type Instrument, type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import { KeyedStore } from '../state/store';

/** `absent`: the platform answered and does not know it. */
export type InstrumentFacts = Instrument | 'absent';

const RETRY_MS = 5000;

export class Instruments {
  readonly facts = new KeyedStore<InstrumentId, InstrumentFacts>();
  private readonly fetchInstruments: FetchInstruments;
  private readonly asking = new Set<InstrumentId>();

  constructor(fetchInstruments: FetchInstruments) {
    this.fetchInstruments = fetchInstruments;
  }

  /** Takes in facts that came with another answer, for example of a search. */
  readonly learn = (instruments: readonly Instrument[]): void => {
    for (const instrument of instruments) this.facts.set(instrument.id, instrument);
  };

  /** Makes sure that the facts come; safe to call often. */
  readonly need = (id: InstrumentId): void => {
    const known = this.facts.get(id);
    if ((known !== undefined && known !== 'absent') || this.asking.has(id)) return;
    this.asking.add(id);
    this.fetchInstruments({ venue: venueOf(id), text: symbolOf(id), limit: 50 })
      .then((found) => {
        this.learn(found);
        if (!found.some((instrument) => instrument.id === id)) this.facts.set(id, 'absent');
        this.asking.delete(id);
      })
      .catch(() => {
        setTimeout(() => {
          this.asking.delete(id);
          this.need(id);
        }, RETRY_MS);
      });
  };
}
