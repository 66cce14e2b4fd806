// Everything of the user: take it along, or have it erased, with the counts as the proof.
import { type FormEvent, useState } from 'react';
import type { Json } from '../api/decode';
import { usePlatform } from '../app/platform-context';
import { nameOf, wordsOf } from '../format/facts';
import { Field } from '../ui/Field';
import { Failure } from '../ui/Problem';
import { saveFile } from '../ui/save-file';
import { useAction } from '../ui/use-action';

export function DataPage() {
  const { accountPages, session } = usePlatform();
  const [typed, setTyped] = useState('');
  const [counts, setCounts] = useState<{ before: Json; after: Json }>();
  const { busy, error, run, forget } = useAction();
  const name = session.user?.name ?? '';
  const exportAll = () =>
    run(async () =>
      saveFile(`dexorder-${name}.json`, 'application/json', await accountPages.api.exportAll()),
    );
  const erase = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => setCounts(await accountPages.api.deleteAccount(typed)));
  };
  if (counts !== undefined) return <Erased counts={counts} onClose={() => void session.signOut()} />;
  return (
    <>
      <div className="form">
        <h3>Export</h3>
        <p>Account, conversations, files and settings as one file.</p>
        <button type="button" className="button" disabled={busy} onClick={() => void exportAll()}>
          Export everything
        </button>
      </div>
      <form className="form danger-zone" onSubmit={erase}>
        <h3>Erase the account</h3>
        <p>Workspace, conversations, strategies, keys and the account itself go for ever. Export first.</p>
        <Field label={`Type your name, ${name}, to confirm`}>
          <input
            value={typed}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            onChange={(event) => setTyped(event.target.value)}
          />
        </Field>
        <button type="submit" className="button danger" disabled={busy || name === '' || typed !== name}>
          Erase everything
        </button>
      </form>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
    </>
  );
}

interface ErasedProps {
  readonly counts: { readonly before: Json; readonly after: Json };
  readonly onClose: () => void;
}

function Erased({ counts, onClose }: ErasedProps) {
  const keys = [...new Set([...Object.keys(counts.before), ...Object.keys(counts.after)])];
  return (
    <div className="form" role="status">
      <h3>Erased</h3>
      <table className="counts">
        <thead>
          <tr>
            <th>What</th>
            <th>Before</th>
            <th>After</th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <tr key={key}>
              <td>{nameOf(key)}</td>
              <td>{wordsOf(counts.before[key] ?? 0)}</td>
              <td>{wordsOf(counts.after[key] ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" className="button" onClick={onClose}>
        Done
      </button>
    </div>
  );
}
