// For administrators: the record of access attempts, and whether its chain of hashes is whole.
import { useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { LoadedList } from '../drawer/LoadedList';
import { formatOpenTime, formatUtc } from '../format/time';
import { useStore } from '../state/store';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import type { Verdict } from './account-api';

export function AuditPage() {
  const { accountPages } = usePlatform();
  const { audit, api } = accountPages;
  const state = useStore(audit.state);
  const [verified, setVerified] = useState<Verdict>();
  const { busy, error, run, forget } = useAction();
  useEffect(() => void audit.load(), [audit]);
  return (
    <>
      <p className="toolbar">
        <button
          type="button"
          className="button"
          disabled={busy}
          onClick={() => void run(async () => setVerified(await api.verifyAudit()))}
        >
          Verify the chain
        </button>
        {verified !== undefined && (
          <span role="status" className="verdict" data-verdict={verified.intact ? 'clean' : 'found'}>
            {verified.intact
              ? `Whole: ${verified.entries} entries, head ${verified.head.slice(0, 16)}`
              : `Broken at entry ${verified.position}: keep a copy of the database before anything else`}
          </span>
        )}
      </p>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <LoadedList state={state} empty="Nothing is recorded yet." onRetry={() => void audit.load()}>
        {(rows) => (
          <div className="table-scroll">
            <table className="audit">
              <thead>
                <tr>
                  <th>When</th>
                  <th>What</th>
                  <th>Account</th>
                  <th>From</th>
                  <th>Outcome</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.sequence}>
                    <td title={row.at === undefined ? undefined : formatUtc(row.at)}>
                      {row.at === undefined ? '–' : formatOpenTime(row.at / 1000, 1)}
                    </td>
                    <td>{row.what}</td>
                    <td>
                      {row.who}
                      {row.by !== '' && ` (by ${row.by})`}
                    </td>
                    <td>{row.address}</td>
                    <td>{row.outcome}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </LoadedList>
    </>
  );
}
