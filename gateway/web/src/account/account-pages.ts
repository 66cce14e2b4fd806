// What the account and admin pages show, asked for when a page opens.

import type { AuthOptions } from '../session/auth-options';
import { Loadable } from '../state/loadable';
import { Store } from '../state/store';
import type { Account, AccountApi, AdminUser, ApiKeyEntry, AuditRow, SessionEntry } from './account-api';

export const ACCOUNT_PAGES = [
  'profile',
  'security',
  'sessions',
  'keys',
  'telegram',
  'data',
  'users',
  'audit',
] as const;
export type AccountPage = (typeof ACCOUNT_PAGES)[number];

const AUDIT_ROWS = 100;
const MAX_AUDIT_ROWS = 300;

export class AccountPages {
  readonly api: AccountApi;
  readonly page = new Store<AccountPage>('profile');
  readonly options: Loadable<AuthOptions>;
  readonly account: Loadable<Account>;
  readonly sessions: Loadable<SessionEntry[]>;
  readonly keys: Loadable<ApiKeyEntry[]>;
  readonly users: Loadable<AdminUser[]>;
  readonly audit: Loadable<AuditRow[]>;

  constructor(api: AccountApi) {
    this.api = api;
    this.options = new Loadable(api.options);
    this.account = new Loadable(api.account);
    this.sessions = new Loadable(api.sessions);
    this.keys = new Loadable(api.keys);
    this.users = new Loadable(api.users);
    this.audit = new Loadable(() => this.auditRows());
  }

  /** The newest rows, a few pages of them. */
  private async auditRows(): Promise<AuditRow[]> {
    const rows: AuditRow[] = [];
    let before: number | undefined;
    do {
      const page = await this.api.audit(AUDIT_ROWS, before);
      rows.push(...page.entries);
      before = page.next;
    } while (before !== undefined && rows.length < MAX_AUDIT_ROWS);
    return rows;
  }

  reset(): void {
    for (const page of [this.account, this.sessions, this.keys, this.users, this.audit]) page.reset();
    this.page.set('profile');
  }
}
