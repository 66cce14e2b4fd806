// The account's routes of the gateway (docs/protocol/13-accounts.md §2), each as one function with checked answers.
import { type Call, nothing } from '../api/client';
import {
  asBoolean,
  asList,
  asMoment,
  asNumber,
  asOneOf,
  asRecord,
  asString,
  type Json,
  optional,
} from '../api/decode';
import { type AuthOptions, decodeAuthOptions } from '../session/auth-options';
import { asRole, type User } from '../session/credentials';

export interface Account extends User {
  readonly createdAt: number | undefined;
  /** One is set. */
  readonly password: boolean;
  readonly totp: boolean;
  readonly telegram: boolean;
  readonly limits: Json;
}

export interface SessionEntry {
  readonly id: string;
  readonly createdAt: number | undefined;
  readonly lastUsedAt: number | undefined;
  readonly client: string;
  readonly address: string;
  readonly current: boolean;
}

export const SCOPES = [
  ['market', 'Read market data'],
  ['chat', 'Talk to the assistant'],
  ['mcp', 'Use the tools of your workspace'],
  ['account:read', 'Read account and limits'],
] as const;
export type Scope = (typeof SCOPES)[number][0];

export interface ApiKeyEntry {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly createdAt: number | undefined;
  readonly expiresAt: number | undefined;
  readonly lastUsedAt: number | undefined;
}

export interface AdminUser extends User {
  readonly disabled: boolean;
  readonly totp: boolean;
  readonly telegram: boolean;
  readonly createdAt: number | undefined;
  readonly container: string;
  readonly usage: Json;
}

/** Whether the chain of hashes is whole, and if not, from where on. */
export type Verdict =
  | { readonly intact: true; readonly entries: number; readonly head: string }
  | { readonly intact: false; readonly position: number };

export interface AuditRow {
  readonly sequence: string;
  readonly at: number | undefined;
  readonly what: string;
  readonly who: string;
  /** Who did it, if that was somebody else. */
  readonly by: string;
  readonly address: string;
  readonly outcome: string;
}

const part = encodeURIComponent;
const text = (value: unknown, path: string): string => optional(value, asString, path) ?? '';
const moment = (value: unknown, path: string): number | undefined => optional(value, asMoment, path);
const flag = (value: unknown, path: string): boolean => optional(value, asBoolean, path) ?? false;
const record = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};

function decodeUser(json: Json, path: string): User {
  return {
    userId: asString(json.user_id ?? json.id, `${path}user_id`),
    name: asString(json.name, `${path}name`),
    role: asRole(json.role),
    tier: asString(json.tier, `${path}tier`),
  };
}

function decodeAccount(body: unknown): Account {
  const json = asRecord(body);
  return {
    ...decodeUser(json, ''),
    createdAt: moment(json.created_at, 'created_at'),
    password: optional(json.password, asBoolean, 'password') ?? true,
    totp: flag(json.totp, 'totp'),
    telegram: flag(json.telegram, 'telegram'),
    limits: record(json.limits),
  };
}

function decodeSession(value: unknown, path: string): SessionEntry {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    createdAt: moment(json.created_at, `${path}.created_at`),
    lastUsedAt: moment(json.last_used_at, `${path}.last_used_at`),
    client: text(json.client, `${path}.client`),
    address: text(json.address, `${path}.address`),
    current: flag(json.current, `${path}.current`),
  };
}

function decodeKey(value: unknown, path: string): ApiKeyEntry {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    name: text(json.name, `${path}.name`),
    scopes: asList(json.scopes ?? [], asString, `${path}.scopes`),
    createdAt: moment(json.created_at, `${path}.created_at`),
    expiresAt: moment(json.expires_at, `${path}.expires_at`),
    lastUsedAt: moment(json.last_used_at, `${path}.last_used_at`),
  };
}

function decodeAdminUser(value: unknown, path: string): AdminUser {
  const json = asRecord(value, path);
  const container = record(json.container);
  return {
    ...decodeUser(json, `${path}.`),
    disabled: flag(json.disabled, `${path}.disabled`),
    totp: flag(json.totp, `${path}.totp`),
    telegram: flag(json.telegram, `${path}.telegram`),
    createdAt: moment(json.created_at, `${path}.created_at`),
    container:
      typeof json.container === 'string' ? json.container : text(container.state, `${path}.container`),
    usage: record(json.usage),
  };
}

function decodeAudit(value: unknown, path: string): AuditRow {
  const json = asRecord(value, path);
  const words = (...names: readonly string[]) => {
    const found = names.map((name) => json[name]).find((item) => item !== undefined && item !== null);
    return found === undefined ? '' : typeof found === 'string' ? found : JSON.stringify(found);
  };
  return {
    sequence: words('position', 'sequence'),
    at: moment(json.at ?? json.at_ns ?? json.created_at, `${path}.at`),
    what: words('event'),
    who: words('name', 'user_id'),
    by: words('by'),
    address: words('address'),
    outcome: words('outcome'),
  };
}

const DELETE_MS = 60_000;

export const createAccountApi = (call: Call) => ({
  options: (): Promise<AuthOptions> => call({ method: 'GET', path: 'auth/options' }, decodeAuthOptions),
  account: () => call({ method: 'GET', path: 'account' }, decodeAccount),
  changePassword: (current: string, next: string) =>
    call({ method: 'PUT', path: 'account/password', body: { current, new: next } }, nothing),
  startTotp: () =>
    call({ method: 'POST', path: 'account/totp' }, (body) => {
      const json = asRecord(body);
      return { secret: asString(json.secret, 'secret'), url: asString(json.url, 'url') };
    }),
  confirmTotp: (code: string) =>
    call({ method: 'POST', path: 'account/totp/confirm', body: { code } }, nothing),
  endTotp: (code: string) => call({ method: 'DELETE', path: 'account/totp', body: { code } }, nothing),
  telegramCode: () =>
    call({ method: 'POST', path: 'account/telegram-codes' }, (body) => {
      const json = asRecord(body);
      return { code: asString(json.code, 'code'), expiresAt: asMoment(json.expires_at, 'expires_at') };
    }),
  sessions: () =>
    call({ method: 'GET', path: 'sessions' }, (body) =>
      asList(asRecord(body).sessions, decodeSession, 'sessions'),
    ),
  endSession: (id: string) => call({ method: 'DELETE', path: `sessions/${part(id)}` }, nothing),
  keys: () =>
    call({ method: 'GET', path: 'api-keys' }, (body) => {
      const json = asRecord(body);
      return asList(json.api_keys ?? json.keys, decodeKey, 'api_keys');
    }),
  makeKey: (name: string, scopes: readonly Scope[], expiresAt: string | undefined) =>
    call(
      {
        method: 'POST',
        path: 'api-keys',
        body: { name, scopes, ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) },
      },
      (body) => {
        const json = asRecord(body);
        return asString(json.key ?? json.api_key, 'key');
      },
    ),
  endKey: (id: string) => call({ method: 'DELETE', path: `api-keys/${part(id)}` }, nothing),
  exportAll: () =>
    call({ method: 'GET', path: 'account/export', expects: 'text', timeoutMs: DELETE_MS }, (body) =>
      asString(body, 'export'),
    ),
  deleteAccount: (name: string) =>
    call(
      { method: 'DELETE', path: 'account', body: { confirm: name }, timeoutMs: DELETE_MS },
      (body): { before: Json; after: Json } => {
        const json = record(body);
        return { before: record(json.before), after: record(json.after) };
      },
    ),
  unlinkTelegram: () => call({ method: 'DELETE', path: 'account/telegram' }, nothing),
  makeUser: (name: string, tier: string) =>
    call({ method: 'POST', path: 'admin/users', body: { name, tier } }, nothing),
  users: () =>
    call({ method: 'GET', path: 'admin/users' }, (body) =>
      asList(asRecord(body).users, decodeAdminUser, 'users'),
    ),
  changeUser: (id: string, change: { tier?: string; role?: string; disabled?: boolean }) =>
    call({ method: 'PATCH', path: `admin/users/${part(id)}`, body: change }, nothing),
  loginLink: (id: string) =>
    call({ method: 'POST', path: `admin/users/${part(id)}/login-link` }, (body) => {
      const json = asRecord(body);
      return asString(json.url ?? json.link ?? json.token, 'url');
    }),
  audit: (limit: number, before?: number) =>
    call({ method: 'GET', path: 'admin/audit', query: { limit, before } }, (body) => {
      const json = asRecord(body);
      return {
        entries: asList(json.entries, decodeAudit, 'entries'),
        next: optional(json.next, asNumber, 'next'),
      };
    }),
  verifyAudit: () =>
    call({ method: 'GET', path: 'admin/audit/verify' }, (body): Verdict => {
      const json = asRecord(body);
      if (asOneOf(json.state, ['intact', 'broken'], 'state') === 'broken')
        return { intact: false, position: asNumber(json.position, 'position') };
      return { intact: true, entries: asNumber(json.entries, 'entries'), head: text(json.head, 'head') };
    }),
});

export type AccountApi = ReturnType<typeof createAccountApi>;
