// What the gateway gives to somebody who has signed in: checked, and kept in memory only.
import { asMoment, asRecord, asString } from '../api/decode';

export interface User {
  readonly userId: string;
  readonly name: string;
  readonly role: 'user' | 'admin';
  readonly tier: string;
}

export interface Credentials {
  readonly accessToken: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  readonly user: User;
}

/** What is not `admin` gets no admin pages; the gateway decides anyway. */
export const asRole = (value: unknown): User['role'] => (value === 'admin' ? 'admin' : 'user');

export function decodeCredentials(body: unknown): Credentials {
  const session = asRecord(body);
  const user = asRecord(session.user, 'user');
  return {
    accessToken: asString(session.access_token, 'access_token'),
    expiresAt: asMoment(session.expires_at, 'expires_at'),
    user: {
      userId: asString(user.user_id, 'user.user_id'),
      name: asString(user.name, 'user.name'),
      role: asRole(user.role),
      tier: asString(user.tier, 'user.tier'),
    },
  };
}
