// Who uses the page: signs in and out, keeps the access token in memory, renews it once for all who wait for it.
import { ApiError, toApiError } from '../api/api-error';
import { type Call, createCall, type FetchImpl, nothing } from '../api/client';
import { forgetSaved, readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';
import { type Credentials, decodeCredentials, type User } from './credentials';
import type { Arrival } from './login-link';

export type SessionState =
  | { readonly status: 'starting' }
  | { readonly status: 'signed-out'; readonly note: string | undefined }
  | { readonly status: 'signed-in'; readonly user: User };

/** Tells the other tabs of this browser. */
export interface TabChannel {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

/** What the outside world provides; tests pass fakes. */
export interface SessionWorld {
  readonly fetch: FetchImpl;
  readonly now: () => number;
  /** Remembers that there is a session to renew, nothing else. */
  readonly storage: TextStorage | undefined;
  readonly channel: TabChannel | undefined;
  /** Runs one at a time over all tabs of this browser. */
  readonly exclusively: <T>(run: () => Promise<T>) => Promise<T>;
}

/** The fields of a sign-up. */
export interface SignUp {
  readonly name: string;
  readonly password: string;
  readonly birthDate: string;
  readonly disclaimerVersion: string;
}

const HINT = 'signed-in.v1';
/** A token that ends sooner is renewed before it is used. */
const MARGIN_MS = 20_000;
const RETRY_FIRST_MS = 1000;
const RETRY_CAP_MS = 15_000;
const ENDED = 'Your session has ended. Sign in again; nothing of your work is lost.';

const asHint = (value: unknown): true | undefined => (value === true ? true : undefined);

export class Session {
  readonly state = new Store<SessionState>({ status: 'starting' });
  private readonly world: SessionWorld;
  private readonly bare: Call;
  private credentials: Credentials | undefined;
  private renewing: Promise<boolean> | undefined;
  private retries = 0;

  constructor(world: SessionWorld) {
    this.world = world;
    this.bare = createCall('', world.fetch);
    if (world.channel !== undefined) world.channel.onmessage = ({ data }) => this.hear(data);
  }

  get user(): User | undefined {
    return this.credentials?.user;
  }

  /** Uses what came with the address if there is something, else the session of this browser if there may be one. */
  async start(arrival: Pick<Arrival, 'token' | 'telegram'>): Promise<void> {
    const { token, telegram } = arrival;
    if (token !== undefined || telegram !== undefined) {
      const entering =
        token !== undefined ? this.enter('auth/link', { token }) : this.signInByTelegram(telegram);
      await entering.catch((error: unknown) => this.leave(whyNotIn(toApiError(error))));
      return;
    }
    if (readSaved(this.world.storage, HINT, asHint) === undefined) {
      this.state.set({ status: 'signed-out', note: undefined });
      return;
    }
    await this.resume();
  }

  signIn(name: string, password: string, totp: string | undefined): Promise<void> {
    return this.enter('auth/login', { name, password, ...(totp === undefined ? {} : { totp }) });
  }

  /** Without an account, where the platform allows it. */
  enterAnonymously(): Promise<void> {
    return this.enter('auth/anonymous', {});
  }

  signUp({ name, password, birthDate, disclaimerVersion }: SignUp): Promise<void> {
    return this.enter('auth/sign-up', {
      name,
      password,
      birth_date: birthDate,
      disclaimer_version: disclaimerVersion,
    });
  }

  private signInByTelegram(fields: unknown): Promise<void> {
    return this.enter('auth/telegram', fields);
  }

  /** Ends the session here and in the other tabs; the gateway is told if it can be reached. */
  async signOut(): Promise<void> {
    const token = this.credentials?.accessToken;
    const call = createCall('', (input, init) => this.world.fetch(input, withToken(init, token)));
    await call({ method: 'POST', path: 'auth/logout' }, nothing).catch(() => undefined);
    this.world.channel?.postMessage({ type: 'signed-out' });
    this.leave(undefined);
  }

  /** The session was ended elsewhere. */
  readonly ended = (): void => this.leave(ENDED);

  /** Like `fetch`, with the access token if there is one; a token that is no longer good is renewed once. */
  readonly fetch: FetchImpl = async (input, init) => {
    if (this.credentials !== undefined && this.credentials.expiresAt - this.world.now() < MARGIN_MS)
      await this.renew();
    const used = this.credentials?.accessToken;
    const response = await this.world.fetch(input, withToken(init, used));
    if (response.status !== 401 || used === undefined || holdsPassword(input)) return response;
    // Somebody else may have renewed it while this request was under way.
    const renewed = this.credentials?.accessToken !== used || (await this.renew());
    if (!renewed || this.credentials === undefined) return response;
    return this.world.fetch(input, withToken(init, this.credentials.accessToken));
  };

  /** True if there is a good token afterwards. All callers of all tabs share one request. */
  renew(): Promise<boolean> {
    this.renewing ??= this.renewAlone().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  private async resume(): Promise<void> {
    if (await this.renew()) return;
    if (this.state.get().status !== 'starting') return;
    const delay = Math.min(RETRY_CAP_MS, RETRY_FIRST_MS * 2 ** this.retries);
    this.retries += 1;
    setTimeout(() => void this.resume(), delay);
  }

  private async renewAlone(): Promise<boolean> {
    const before = this.credentials?.accessToken;
    try {
      return await this.world.exclusively(async () => {
        // While this tab waited for its turn, another one may have told its new token.
        if (this.credentials !== undefined && this.credentials.accessToken !== before) return true;
        this.accept(await this.bare({ method: 'POST', path: 'auth/refresh' }, decodeCredentials));
        return true;
      });
    } catch (error) {
      const { kind, status } = toApiError(error);
      if (kind === 'refused' && status !== 429) this.leave(ENDED);
      return false;
    }
  }

  private async enter(path: string, body: unknown): Promise<void> {
    this.accept(await this.bare({ method: 'POST', path, body }, decodeCredentials));
  }

  private accept(credentials: Credentials): void {
    this.adopt(credentials);
    this.world.channel?.postMessage({ type: 'credentials', credentials });
  }

  private adopt(credentials: Credentials): void {
    const before = this.credentials?.user;
    this.credentials = credentials;
    this.retries = 0;
    writeSaved(this.world.storage, HINT, true);
    const { user } = credentials;
    const same = before?.userId === user.userId && before.role === user.role && before.tier === user.tier;
    if (!same || this.state.get().status !== 'signed-in') this.state.set({ status: 'signed-in', user });
  }

  private leave(note: string | undefined): void {
    this.credentials = undefined;
    forgetSaved(this.world.storage, HINT);
    this.state.set({ status: 'signed-out', note });
  }

  /** Only pages of this origin can speak here. */
  private hear(data: unknown): void {
    if (typeof data !== 'object' || data === null) return;
    const { type, credentials } = data as { type?: unknown; credentials?: Credentials };
    if (type === 'signed-out') this.leave(undefined);
    if (type === 'credentials' && credentials !== undefined) this.adopt(credentials);
  }
}

const whyNotIn = (failure: ApiError): string =>
  failure.kind === 'refused'
    ? 'This login link was used before or is too old. Ask for a new one, or sign in with your password.'
    : `${failure.message} ${failure.advice} Then open the login link again.`;

const withToken = (init: RequestInit, token: string | undefined): RequestInit =>
  token === undefined
    ? init
    : { ...init, headers: { ...(init.headers as Record<string, string>), authorization: `Bearer ${token}` } };

/** There 401 says that the password is wrong; another attempt would count as another guess. */
const holdsPassword = (input: string): boolean => input.endsWith('/account/password');

/** The world of a browser. */
export function browserWorld(storage: TextStorage | undefined): SessionWorld {
  const channel =
    typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('dexorder.session');
  return {
    fetch: (input, init) => fetch(input, { ...init, credentials: 'same-origin' }),
    now: Date.now,
    storage,
    channel: channel as TabChannel | undefined,
    // Web locks exist on secure origins only; elsewhere a tab can but go one by one by itself.
    exclusively: (run) =>
      navigator.locks === undefined ? run() : navigator.locks.request('dexorder.refresh', run),
  };
}

/** True for the refusal that asks for the second factor. */
export const asksForTotp = (error: unknown): boolean =>
  error instanceof ApiError && error.code === 'TOTP_REQUIRED';
