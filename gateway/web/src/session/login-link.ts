// What came with the address to sign in by: found once, and out of the address bar before anything else happens.

const TOKEN = /^dxl_[A-Za-z0-9_-]{16,128}$/;
/** What Telegram's login widget appends to the address it returns to. */
const TELEGRAM_FIELDS = ['id', 'first_name', 'last_name', 'username', 'photo_url', 'auth_date', 'hash'];

export interface Arrival {
  /** The one-time token, if the address held one. */
  readonly token: string | undefined;
  /** The fields of Telegram's widget, if the address held them. */
  readonly telegram: Readonly<Record<string, string>> | undefined;
  /** Somebody came to sign in. */
  readonly wantsLogin: boolean;
  /** The address without any of that; undefined when it may stay. */
  readonly cleaned: string | undefined;
}

const PLAIN: Arrival = { token: undefined, telegram: undefined, wantsLogin: false, cleaned: undefined };

/** Reads `/login?link=…`, `#link=…` and the return from Telegram. */
export function readArrival({
  pathname,
  search,
  hash,
}: Pick<Location, 'pathname' | 'search' | 'hash'>): Arrival {
  const query = new URLSearchParams(search);
  const fragment = new URLSearchParams(hash.replace(/^#/, ''));
  const held = fragment.get('link') ?? query.get('link');
  const atLogin = pathname === '/login' || pathname === '/login/';
  if (held === null && !atLogin) return PLAIN;
  const telegram = atLogin && query.has('hash') && query.has('auth_date') ? telegramFields(query) : undefined;
  query.delete('link');
  fragment.delete('link');
  for (const field of telegram === undefined ? [] : TELEGRAM_FIELDS) query.delete(field);
  const rest = query.toString().replaceAll('%3A', ':').replaceAll('%2F', '/');
  const mark = fragment.toString();
  return {
    token: held !== null && TOKEN.test(held) ? held : undefined,
    telegram,
    wantsLogin: true,
    cleaned: `${atLogin ? '/' : pathname}${rest === '' ? '' : `?${rest}`}${mark === '' ? '' : `#${mark}`}`,
  };
}

function telegramFields(query: URLSearchParams): Record<string, string> {
  const found = TELEGRAM_FIELDS.map((field) => [field, query.get(field)] as const);
  return Object.fromEntries(found.filter((pair): pair is [string, string] => pair[1] !== null));
}

/** Reads the address of the page and cleans it at once. */
export function takeArrival(): Arrival {
  const arrival = readArrival(location);
  if (arrival.cleaned !== undefined) history.replaceState(null, '', arrival.cleaned);
  return arrival;
}
