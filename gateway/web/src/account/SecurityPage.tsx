// The password and the second factor.
import { type FormEvent, useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { CodeField } from '../session/SignIn';
import { useStore } from '../state/store';
import { CopyButton } from '../ui/CopyButton';
import { Field } from '../ui/Field';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import { QrCode } from './QrCode';

export function SecurityPage() {
  const { accountPages } = usePlatform();
  const { value } = useStore(accountPages.account.state);
  useEffect(() => void accountPages.account.load(), [accountPages]);
  return (
    <>
      {value !== undefined && <PasswordSection isSet={value.password} />}
      {value !== undefined && (value.totp ? <EndTotp /> : <StartTotp />)}
    </>
  );
}

function PasswordSection({ isSet }: { readonly isSet: boolean }) {
  const { accountPages } = usePlatform();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [done, setDone] = useState(false);
  const { busy, error, run, forget } = useAction();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setDone(false);
    if (!(await run(() => accountPages.api.changePassword(current, next)))) return;
    setDone(true);
    void accountPages.account.load();
    setCurrent('');
    setNext('');
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <h3>Password</h3>
      {isSet ? (
        <Field label="Current password">
          <input
            type="password"
            autoComplete="current-password"
            required
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
          />
        </Field>
      ) : (
        <p>
          You have signed in by a link and have no password yet. With one you can come back without a link.
        </p>
      )}
      <Field label="New password" note="At least 10 characters. All other sessions end.">
        <input
          type="password"
          autoComplete="new-password"
          minLength={10}
          maxLength={256}
          required
          value={next}
          onChange={(event) => setNext(event.target.value)}
        />
      </Field>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      {done && <p role="status">The password is set. Your other sessions have ended.</p>}
      <button type="submit" className="button" disabled={busy}>
        {isSet ? 'Change the password' : 'Set the password'}
      </button>
    </form>
  );
}

function StartTotp() {
  const { accountPages } = usePlatform();
  const [secret, setSecret] = useState<{ secret: string; url: string }>();
  const [code, setCode] = useState('');
  const { busy, error, run, forget } = useAction();
  const begin = () => run(async () => setSecret(await accountPages.api.startTotp()));
  const confirm = async (event: FormEvent) => {
    event.preventDefault();
    if (await run(() => accountPages.api.confirmTotp(code))) void accountPages.account.load();
  };
  return (
    <form className="form" onSubmit={(event) => void confirm(event)}>
      <h3>Second factor</h3>
      {secret === undefined ? (
        <>
          <p>
            An authenticator app on your phone shows six digits that are asked for with your password. What
            moves money will need it.
          </p>
          <button
            type="button"
            className="button"
            disabled={busy}
            data-testid="totp-begin"
            onClick={() => void begin()}
          >
            Set it up
          </button>
        </>
      ) : (
        <>
          <p>Scan this with the app, or type the secret into it. Then enter the digits that it shows.</p>
          <div className="totp">
            <QrCode text={secret.url} label="Secret as a QR code" />
            <div className="totp-texts">
              <code className="secret">{secret.secret}</code>
              <CopyButton text={secret.secret} label="Copy the secret" worded="Copy the secret" />
              <CopyButton text={secret.url} label="Copy the address" worded="Copy the address" />
            </div>
          </div>
          <CodeField code={code} onChange={setCode} />
          <button type="submit" className="button primary" disabled={busy}>
            Confirm
          </button>
        </>
      )}
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
    </form>
  );
}

function EndTotp() {
  const { accountPages } = usePlatform();
  const [code, setCode] = useState('');
  const { busy, error, run, forget } = useAction();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (await run(() => accountPages.api.endTotp(code))) void accountPages.account.load();
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <h3>Second factor</h3>
      <p>It is set up. To remove it, enter the digits that the app shows now.</p>
      <CodeField code={code} onChange={setCode} />
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <button type="submit" className="button danger" disabled={busy}>
        Remove the second factor
      </button>
    </form>
  );
}
