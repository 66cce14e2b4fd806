// A search while the user types: waits a moment, drops overtaken answers, remembers recent ones.
import { type ApiError, isAbort, toApiError } from '../api/api-error';
import type { FetchInstruments } from '../api/instruments';
import type { Instrument } from '../market/instrument';
import { Store } from '../state/store';
import { parseSearch } from './search-query';

export interface SearchState {
  readonly text: string;
  /** Undefined: all venues. */
  readonly venue: string | undefined;
  readonly phase: 'idle' | 'loading' | 'ready' | 'failed';
  readonly results: readonly Instrument[];
  readonly error: ApiError | undefined;
}

const DEBOUNCE_MS = 140;
const LIMIT = 40;
const REMEMBERED = 30;

export class SearchSession {
  readonly state = new Store<SearchState>({
    text: '',
    venue: undefined,
    phase: 'idle',
    results: [],
    error: undefined,
  });
  private readonly fetchInstruments: FetchInstruments;
  private readonly found: (instruments: readonly Instrument[]) => void;
  private readonly remembered = new Map<string, readonly Instrument[]>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private abort: AbortController | undefined;

  constructor(fetchInstruments: FetchInstruments, found: (instruments: readonly Instrument[]) => void) {
    this.fetchInstruments = fetchInstruments;
    this.found = found;
  }

  readonly setText = (text: string): void => this.ask({ text }, DEBOUNCE_MS);

  readonly setVenue = (venue: string | undefined): void => this.ask({ venue }, 0);

  /** Asks again at once: when the list opens, or after an error. */
  readonly refresh = (): void => {
    this.remembered.clear();
    this.ask({}, 0);
  };

  readonly clear = (): void => {
    this.cancel();
    this.state.set({ ...this.state.get(), text: '', phase: 'idle', error: undefined });
  };

  private cancel(): void {
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  private ask(change: { text?: string; venue?: string | undefined }, delay: number): void {
    this.cancel();
    const next = { ...this.state.get(), ...change };
    const known = this.remembered.get(keyOf(next));
    if (known !== undefined) {
      this.state.set({ ...next, phase: 'ready', results: known, error: undefined });
      return;
    }
    this.state.set({ ...next, phase: 'loading', error: undefined });
    this.timer = setTimeout(() => void this.load(), delay);
  }

  private async load(): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    const asked = this.state.get();
    const { venue, text } = parseSearch(asked.text);
    try {
      const query = { venue: asked.venue ?? venue, text, limit: LIMIT };
      const results = await this.fetchInstruments(query, abort.signal);
      if (abort.signal.aborted) return;
      this.found(results);
      this.remember(keyOf(asked), results);
      this.state.set({ ...this.state.get(), phase: 'ready', results });
    } catch (error) {
      if (isAbort(error)) return;
      this.state.set({ ...this.state.get(), phase: 'failed', results: [], error: toApiError(error) });
    }
  }

  private remember(key: string, results: readonly Instrument[]): void {
    this.remembered.set(key, results);
    const [oldest] = this.remembered.keys();
    if (this.remembered.size > REMEMBERED && oldest !== undefined) this.remembered.delete(oldest);
  }
}

const keyOf = ({ venue, text }: SearchState): string => `${venue ?? ''}|${text.trim().toUpperCase()}`;
