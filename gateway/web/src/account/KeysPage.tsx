// API keys: made once with their scopes, shown once, listed, revoked; and how a program connects with one.
import { type FormEvent, useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { LoadedList } from '../drawer/LoadedList';
import { formatOpenTime } from '../format/time';
import { useStore } from '../state/store';
import { ConfirmButton } from '../ui/ConfirmButton';
import { CopyButton } from '../ui/CopyButton';
import { Field } from '../ui/Field';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import { SCOPES, type Scope } from './account-api';

const DAY = 86_400;

export function KeysPage() {
  const { accountPages } = usePlatform();
  const { keys, api } = accountPages;
  const state = useStore(keys.state);
  const [fresh, setFresh] = useState<string>();
  const { busy, error, run, forget } = useAction();
  useEffect(() => void keys.load(), [keys]);
  const revoke = async (id: string) => {
    await run(() => api.endKey(id));
    await keys.load();
  };
  return (
    <>
      {fresh === undefined ? (
        <KeyForm onMade={setFresh} />
      ) : (
        <FreshKey apiKey={fresh} onDone={() => setFresh(undefined)} />
      )}
      <h3>Your keys</h3>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <LoadedList state={state} empty="No keys yet." onRetry={() => void keys.load()}>
        {(list) => (
          <ul className="entries">
            {list.map((entry) => (
              <li key={entry.id} data-testid="key-row">
                <div>
                  <strong>
                    {entry.name || 'Unnamed'} <code>dxk_{entry.id.replace(/^dxk_/, '')}…</code>
                  </strong>
                  <span>
                    {entry.scopes.join(', ')}
                    {entry.expiresAt !== undefined &&
                      ` · until ${formatOpenTime(entry.expiresAt / 1000, DAY)}`}
                    {entry.lastUsedAt !== undefined &&
                      ` · used ${formatOpenTime(entry.lastUsedAt / 1000, 60)}`}
                  </span>
                </div>
                <ConfirmButton
                  label="Revoke"
                  question="Programs with this key stop working."
                  confirm="Revoke"
                  disabled={busy}
                  onConfirm={() => void revoke(entry.id)}
                />
              </li>
            ))}
          </ul>
        )}
      </LoadedList>
      <McpHelp apiKey={fresh} />
    </>
  );
}

function KeyForm({ onMade }: { readonly onMade: (key: string) => void }) {
  const { accountPages } = usePlatform();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<readonly Scope[]>(['mcp']);
  const [until, setUntil] = useState('');
  const { busy, error, run, forget } = useAction();
  const toggle = (scope: Scope) =>
    setScopes(scopes.includes(scope) ? scopes.filter((item) => item !== scope) : [...scopes, scope]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const expiresAt = until === '' ? undefined : `${until}T23:59:59Z`;
    void run(async () => {
      onMade(await accountPages.api.makeKey(name.trim(), scopes, expiresAt));
      await accountPages.keys.load();
    });
  };
  return (
    <form className="form" onSubmit={submit}>
      <h3>New key</h3>
      <div className="form-row">
        <Field label="What it is for">
          <input
            value={name}
            maxLength={64}
            required
            data-testid="key-name"
            placeholder="My editor"
            onChange={(event) => setName(event.target.value)}
          />
        </Field>
        <Field label="Good until (optional)">
          <input type="date" value={until} onChange={(event) => setUntil(event.target.value)} />
        </Field>
      </div>
      <fieldset className="scopes">
        <legend>What it may do</legend>
        {SCOPES.map(([scope, does]) => (
          <label key={scope} className="check">
            <input type="checkbox" checked={scopes.includes(scope)} onChange={() => toggle(scope)} />
            <span>
              <code>{scope}</code> {does}
            </span>
          </label>
        ))}
      </fieldset>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <button
        type="submit"
        className="button primary"
        data-testid="key-make"
        disabled={busy || scopes.length === 0 || name.trim() === ''}
      >
        Make the key
      </button>
    </form>
  );
}

function FreshKey({ apiKey, onDone }: { readonly apiKey: string; readonly onDone: () => void }) {
  return (
    <div className="fresh-key" role="status">
      <h3>Your new key</h3>
      <p>It is shown this once. Copy it now and keep it like a password.</p>
      <p className="secret-line">
        <code className="secret" data-testid="fresh-key">
          {apiKey}
        </code>
        <CopyButton text={apiKey} label="Copy the key" worded="Copy" />
      </p>
      <button type="button" className="button" onClick={onDone}>
        I have it
      </button>
    </div>
  );
}

/** What to put into an MCP client. */
function McpHelp({ apiKey }: { readonly apiKey: string | undefined }) {
  const address = `${location.origin}/mcp`;
  const settings = JSON.stringify(
    {
      mcpServers: {
        dexorder: { url: address, headers: { Authorization: `Bearer ${apiKey ?? 'YOUR_KEY'}` } },
      },
    },
    null,
    2,
  );
  return (
    <details className="mcp-help" open={apiKey !== undefined}>
      <summary>Connect an MCP client</summary>
      <p>
        Any MCP client reaches your workspace at <code>{address}</code> with a key that has the scope{' '}
        <code>mcp</code>. A sleeping workspace wakes by itself.
      </p>
      <div className="snippet">
        <pre data-testid="mcp-snippet">{settings}</pre>
        <CopyButton text={settings} label="Copy the settings" />
      </div>
    </details>
  );
}
