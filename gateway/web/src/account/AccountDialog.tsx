// The account pages, and for administrators those of the platform, side by side in one dialog.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { Dialog } from '../ui/Dialog';
import { CloseIcon } from '../ui/icons';
import { AuditPage } from './AuditPage';
import type { AccountPage } from './account-pages';
import { DataPage } from './DataPage';
import { KeysPage } from './KeysPage';
import { ProfilePage } from './ProfilePage';
import { SecurityPage } from './SecurityPage';
import { SessionsPage } from './SessionsPage';
import { TelegramPage } from './TelegramPage';
import { UsersPage } from './UsersPage';
import './account.css';

const PAGES: readonly (readonly [
  page: AccountPage,
  label: string,
  body: () => React.ReactNode,
  admin: boolean,
])[] = [
  ['profile', 'Profile', ProfilePage, false],
  ['security', 'Security', SecurityPage, false],
  ['sessions', 'Sessions', SessionsPage, false],
  ['keys', 'API keys', KeysPage, false],
  ['telegram', 'Telegram', TelegramPage, false],
  ['data', 'Your data', DataPage, false],
  ['users', 'Users', UsersPage, true],
  ['audit', 'Audit', AuditPage, true],
];

export default function AccountDialog({ onClose }: { readonly onClose: () => void }) {
  const { accountPages, session } = usePlatform();
  const state = useStore(session.state);
  const current = useStore(accountPages.page);
  if (state.status !== 'signed-in') return null;
  const pages = PAGES.filter(([, , , admin]) => !admin || state.user.role === 'admin');
  const [, label, Body] = pages.find(([page]) => page === current) ?? PAGES[0] ?? [];
  return (
    <Dialog label="Account" className="account-dialog" onClose={onClose}>
      <div className="account">
        <nav className="account-nav" aria-label="Account pages">
          <p className="account-who">
            <strong>{state.user.name}</strong>
            <span>
              {state.user.tier} · {state.user.role}
            </span>
          </p>
          {pages.map(([page, name, , admin], index) => (
            <button
              key={page}
              type="button"
              data-first-admin={admin && pages[index - 1]?.[3] === false}
              aria-current={page === current ? 'page' : undefined}
              data-testid={`account-${page}`}
              onClick={() => accountPages.page.set(page)}
            >
              {name}
            </button>
          ))}
          <button
            type="button"
            className="sign-out"
            data-testid="sign-out"
            onClick={() => void session.signOut()}
          >
            Sign out
          </button>
        </nav>
        <div className="account-page" data-testid="account-page">
          <header className="dialog-head">
            <h2>{label}</h2>
            <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
              <CloseIcon />
            </button>
          </header>
          <div className="account-body">{Body !== undefined && <Body />}</div>
        </div>
      </div>
    </Dialog>
  );
}
