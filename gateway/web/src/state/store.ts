// Small observable values and the React hooks that read them.
import { useCallback, useSyncExternalStore } from 'react';

export interface Readable<T> {
  readonly get: () => T;
  readonly subscribe: (listener: () => void) => () => void;
}

/** One observable value. Listeners run only when the value really changes. */
export class Store<T> implements Readable<T> {
  private value: T;
  private readonly listeners = new Set<() => void>();

  constructor(initial: T) {
    this.value = initial;
  }

  readonly get = (): T => this.value;

  readonly set = (next: T): void => {
    if (Object.is(next, this.value)) return;
    this.value = next;
    for (const listener of [...this.listeners]) listener();
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

/** Many observable values under keys; a listener hears only its own key. */
export class KeyedStore<K, V> {
  private readonly values = new Map<K, V>();
  private readonly listeners = new Map<K, Set<() => void>>();

  readonly get = (key: K): V | undefined => this.values.get(key);

  readonly set = (key: K, value: V): void => {
    if (Object.is(this.values.get(key), value)) return;
    this.values.set(key, value);
    for (const listener of [...(this.listeners.get(key) ?? [])]) listener();
  };

  readonly delete = (key: K): void => {
    if (!this.values.delete(key)) return;
    for (const listener of [...(this.listeners.get(key) ?? [])]) listener();
  };

  readonly keys = (): K[] => [...this.values.keys()];

  readonly subscribe = (key: K, listener: () => void): (() => void) => {
    const set = this.listeners.get(key) ?? new Set();
    this.listeners.set(key, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.listeners.get(key) === set) this.listeners.delete(key);
    };
  };
}

export function useStore<T>(store: Readable<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

export function useKeyed<K, V>(store: KeyedStore<K, V>, key: K): V | undefined {
  const subscribe = useCallback((listener: () => void) => store.subscribe(key, listener), [store, key]);
  return useSyncExternalStore(subscribe, () => store.get(key));
}
