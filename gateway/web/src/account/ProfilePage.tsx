// Who one is here and what one may use.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { limitOf } from '../format/facts';
import { formatOpenTime } from '../format/time';
import { useStore } from '../state/store';
import { Failure } from '../ui/Problem';

const DAY = 86_400;

export function ProfilePage() {
  const { accountPages } = usePlatform();
  const { value, error } = useStore(accountPages.account.state);
  useEffect(() => void accountPages.account.load(), [accountPages]);
  if (error !== undefined) return <Failure error={error} onRetry={() => void accountPages.account.load()} />;
  if (value === undefined) return <span className="skeleton page-skeleton" />;
  return (
    <>
      <dl className="facts">
        <div>
          <dt>Name</dt>
          <dd>{value.name}</dd>
        </div>
        <div>
          <dt>Tier</dt>
          <dd>{value.tier}</dd>
        </div>
        <div>
          <dt>Role</dt>
          <dd>{value.role}</dd>
        </div>
        {value.createdAt !== undefined && (
          <div>
            <dt>Since</dt>
            <dd>{formatOpenTime(value.createdAt / 1000, DAY)}</dd>
          </div>
        )}
        <div>
          <dt>Second factor</dt>
          <dd>{value.totp ? 'set up' : 'not set up'}</dd>
        </div>
        <div>
          <dt>Telegram</dt>
          <dd>{value.telegram ? 'linked' : 'not linked'}</dd>
        </div>
      </dl>
      {Object.keys(value.limits).length > 0 && (
        <>
          <h3>Limits of your tier</h3>
          <dl className="facts">
            {Object.entries(value.limits).map(([key, limit]) => {
              const [name, words] = limitOf(key, limit);
              return (
                <div key={key}>
                  <dt>{name}</dt>
                  <dd>{words}</dd>
                </div>
              );
            })}
          </dl>
        </>
      )}
    </>
  );
}
