// Values that survive a reload: read from localStorage with a check, written without ever failing the page.

/** The two methods of `Storage` used here, so that tests can pass a map. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

const PREFIX = 'dexorder.';

/** Returns the saved value, or undefined when it is absent, not JSON, or refused by `check`. */
export function readSaved<T>(
  storage: TextStorage | undefined,
  key: string,
  check: (value: unknown) => T | undefined,
): T | undefined {
  try {
    const text = storage?.getItem(PREFIX + key);
    return text == null ? undefined : check(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Saves a value; a full or forbidden storage is not an error, the page then starts afresh next time. */
export function writeSaved(storage: TextStorage | undefined, key: string, value: unknown): void {
  try {
    storage?.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    console.warn(`could not save ${key} in this browser`);
  }
}

export function forgetSaved(storage: TextStorage | undefined, key: string): void {
  try {
    storage?.removeItem(PREFIX + key);
  } catch {
    console.warn(`could not remove ${key} from this browser`);
  }
}

/** The browser's storage, or undefined where the user has forbidden it. */
export function browserStorage(): TextStorage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}

/** The storage of this tab: it survives a reload, other tabs have their own. */
export function tabStorage(): TextStorage | undefined {
  try {
    return window.sessionStorage;
  } catch {
    return undefined;
  }
}
