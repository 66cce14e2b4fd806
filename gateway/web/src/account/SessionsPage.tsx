// Where one is signed in; each session can be ended.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { LoadedList } from '../drawer/LoadedList';
import { formatOpenTime, formatUtc } from '../format/time';
import { useStore } from '../state/store';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';

export function SessionsPage() {
  const { accountPages, session } = usePlatform();
  const { sessions, api } = accountPages;
  const state = useStore(sessions.state);
  const { busy, error, run, forget } = useAction();
  useEffect(() => void sessions.load(), [sessions]);
  const end = async (id: string, current: boolean) => {
    if (current) return session.signOut();
    await run(() => api.endSession(id));
    return sessions.load();
  };
  return (
    <>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <LoadedList state={state} empty="No sessions." onRetry={() => void sessions.load()}>
        {(list) => (
          <ul className="entries">
            {list.map((entry) => (
              <li key={entry.id} data-testid="session-row">
                <div>
                  <strong>
                    {entry.client || 'Unknown program'}
                    {entry.current && <span className="tag">this one</span>}
                  </strong>
                  <span>
                    {entry.address}
                    {entry.lastUsedAt !== undefined && (
                      <time title={formatUtc(entry.lastUsedAt)}>
                        {' '}
                        · used {formatOpenTime(entry.lastUsedAt / 1000, 60)}
                      </time>
                    )}
                  </span>
                </div>
                <button
                  type="button"
                  className="button small danger"
                  disabled={busy}
                  onClick={() => void end(entry.id, entry.current)}
                >
                  {entry.current ? 'Sign out' : 'End'}
                </button>
              </li>
            ))}
          </ul>
        )}
      </LoadedList>
    </>
  );
}
