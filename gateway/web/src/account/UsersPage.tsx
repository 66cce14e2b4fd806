// For administrators: all users with tier, role, container and usage.
import { type FormEvent, useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { LoadedList } from '../drawer/LoadedList';
import { wordsOf } from '../format/facts';
import { useStore } from '../state/store';
import { CopyButton } from '../ui/CopyButton';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import type { AdminUser } from './account-api';

/** Those of the platform; one that a user has already is offered too. */
const TIERS = ['anonymous', 'free', 'pro', 'enterprise'];

export function UsersPage() {
  const { accountPages } = usePlatform();
  const { users } = accountPages;
  const state = useStore(users.state);
  const [link, setLink] = useState<{ name: string; url: string }>();
  useEffect(() => void users.load(), [users]);
  return (
    <>
      {link !== undefined && (
        <div className="fresh-key" role="status">
          <p>
            Login link for <strong>{link.name}</strong>: good once, for 15 minutes.
          </p>
          <p className="secret-line">
            <code className="secret">{link.url}</code>
            <CopyButton text={link.url} label="Copy the link" worded="Copy" />
          </p>
        </div>
      )}
      <NewUser />
      <LoadedList state={state} empty="No users." onRetry={() => void users.load()}>
        {(list) => (
          <div className="table-scroll">
            <table className="users">
              <thead>
                <tr>
                  <th>User</th>
                  <th>Tier</th>
                  <th>Role</th>
                  {list.some(isObserved) && <th>Workspace</th>}
                  {list.some(isObserved) && <th>Usage</th>}
                  <th>
                    <span className="visually-hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {list.map((user) => (
                  <UserRow
                    key={user.userId}
                    user={user}
                    observed={list.some(isObserved)}
                    onLink={(url) => setLink({ name: user.name, url })}
                  />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </LoadedList>
    </>
  );
}

/** The gateway may know of containers and usage; without that their columns are left out. */
const isObserved = ({ container, usage }: AdminUser): boolean =>
  container !== '' || Object.keys(usage).length > 0;

function NewUser() {
  const { accountPages } = usePlatform();
  const [name, setName] = useState('');
  const { busy, error, run, forget } = useAction();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await accountPages.api.makeUser(name, 'free');
      setName('');
      await accountPages.users.load();
    });
  };
  return (
    <form className="toolbar" onSubmit={submit}>
      <input
        className="text-input"
        value={name}
        placeholder="Name of a new user"
        aria-label="Name of a new user"
        autoCapitalize="none"
        autoComplete="off"
        spellCheck={false}
        pattern="[a-z][a-z0-9_\-]{2,31}"
        title="3 to 32 of a–z, 0–9, _ and -, beginning with a letter"
        required
        onChange={(event) => setName(event.target.value)}
      />
      <button type="submit" className="button" disabled={busy || name === ''}>
        Add
      </button>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
    </form>
  );
}

interface UserRowProps {
  readonly user: AdminUser;
  readonly observed: boolean;
  readonly onLink: (url: string) => void;
}

/** The gateway may hand out a whole address or the token alone. */
const linkOf = (answer: string): string =>
  /^https?:\/\//.test(answer) ? answer : `${location.origin}/login#link=${encodeURIComponent(answer)}`;

function UserRow({ user, observed, onLink }: UserRowProps) {
  const { accountPages, session } = usePlatform();
  const { api, users } = accountPages;
  const { busy, error, run, forget } = useAction();
  const self = session.user?.userId === user.userId;
  const change = async (what: Parameters<typeof api.changeUser>[1]) => {
    await run(() => api.changeUser(user.userId, what));
    await users.load();
  };
  const tiers = TIERS.includes(user.tier) ? TIERS : [user.tier, ...TIERS];
  return (
    <>
      <tr data-disabled={user.disabled}>
        <td>
          <strong>{user.name}</strong>
          {self && <span className="tag">you</span>}
          {user.disabled && <span className="tag">disabled</span>}
        </td>
        <td>
          <select
            aria-label={`Tier of ${user.name}`}
            value={user.tier}
            disabled={busy}
            onChange={(event) => void change({ tier: event.target.value })}
          >
            {tiers.map((tier) => (
              <option key={tier}>{tier}</option>
            ))}
          </select>
        </td>
        <td>
          <select
            aria-label={`Role of ${user.name}`}
            value={user.role}
            disabled={busy || self}
            onChange={(event) => void change({ role: event.target.value })}
          >
            <option>user</option>
            <option>admin</option>
          </select>
        </td>
        {observed && <td>{user.container || '–'}</td>}
        {observed && <td>{Object.keys(user.usage).length === 0 ? '–' : wordsOf(user.usage)}</td>}
        <td className="user-actions">
          <button
            type="button"
            className="button small"
            disabled={busy || user.disabled}
            onClick={() => void run(async () => onLink(linkOf(await api.loginLink(user.userId))))}
          >
            Login link
          </button>
          <button
            type="button"
            className="button small danger"
            disabled={busy || self}
            onClick={() => void change({ disabled: !user.disabled })}
          >
            {user.disabled ? 'Enable' : 'Disable'}
          </button>
        </td>
      </tr>
      {error !== undefined && (
        <tr>
          <td colSpan={6}>
            <Failure error={error} onDismiss={forget} />
          </td>
        </tr>
      )}
    </>
  );
}
