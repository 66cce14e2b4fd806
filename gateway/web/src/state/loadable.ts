// Something that is asked for: waiting, there, or failed; what was there stays while it is asked for again.
import { type ApiError, isAbort, toApiError } from '../api/api-error';
import { Store } from './store';

export interface Loaded<T> {
  readonly status: 'idle' | 'loading' | 'ready' | 'failed';
  readonly value: T | undefined;
  readonly error: ApiError | undefined;
}

const IDLE = { status: 'idle', value: undefined, error: undefined } as const;

export class Loadable<T, A extends readonly unknown[] = []> {
  readonly state = new Store<Loaded<T>>(IDLE);
  private readonly ask: (...args: A) => Promise<T>;
  /** Only the newest request counts. */
  private current = 0;

  constructor(ask: (...args: A) => Promise<T>) {
    this.ask = ask;
  }

  readonly load = async (...args: A): Promise<void> => {
    this.current += 1;
    const mine = this.current;
    this.state.set({ status: 'loading', value: this.state.get().value, error: undefined });
    try {
      const value = await this.ask(...args);
      if (mine === this.current) this.state.set({ status: 'ready', value, error: undefined });
    } catch (error) {
      if (mine !== this.current || isAbort(error)) return;
      this.state.set({ status: 'failed', value: this.state.get().value, error: toApiError(error) });
    }
  };

  readonly reset = (): void => {
    this.current += 1;
    this.state.set(IDLE);
  };
}
