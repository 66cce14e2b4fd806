// The dialog to sign in or to sign up: name and password, a second factor when asked for, Telegram where configured.
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { focusNow } from '../ui/focus-now';
import { CloseIcon } from '../ui/icons';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import type { AuthOptions } from './auth-options';
import { asksForTotp } from './session';
import './session.css';

export function SignInDialog({ onClose }: { readonly onClose: () => void }) {
  const { accountPages, session } = usePlatform();
  const { value: options, error } = useStore(accountPages.options.state);
  const state = useStore(session.state);
  const [signingUp, setSigningUp] = useState(false);

  useEffect(() => void accountPages.options.load(), [accountPages]);

  return (
    <Dialog label={signingUp ? 'Create an account' : 'Sign in'} className="sign-in" onClose={onClose}>
      <header className="dialog-head">
        <h2>{signingUp ? 'Create an account' : 'Sign in'}</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      <div className="sign-in-body">
        {state.status === 'signed-out' && state.note !== undefined && (
          <p className="chat-note" role="status">
            {state.note}
          </p>
        )}
        {signingUp && options !== undefined ? <SignUpForm options={options} /> : <PasswordForm />}
        {error !== undefined && <Failure error={error} onRetry={() => void accountPages.options.load()} />}
        {options?.telegramBot !== undefined && !signingUp && <TelegramButton bot={options.telegramBot} />}
        {options?.anonymous === true && !signingUp && <AnonymousButton />}
        {options?.signUp === true ? (
          <button type="button" className="text-button" onClick={() => setSigningUp(!signingUp)}>
            {signingUp ? 'I have an account' : 'Create an account'}
          </button>
        ) : (
          !signingUp && (
            <p className="form-note">
              No password yet? Open the login link that the platform printed when it started, or ask your
              administrator for one.
            </p>
          )
        )}
      </div>
    </Dialog>
  );
}

function AnonymousButton() {
  const { session } = usePlatform();
  const { busy, error, run, forget } = useAction();
  return (
    <div className="form">
      <button
        type="button"
        className="button"
        disabled={busy}
        onClick={() => void run(() => session.enterAnonymously())}
      >
        Try it without an account
      </button>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
    </div>
  );
}

function PasswordForm() {
  const { session } = usePlatform();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [needsCode, setNeedsCode] = useState(false);
  const { busy, error, run, forget } = useAction();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(() =>
      session.signIn(name.trim(), password, needsCode ? code : undefined).catch((thrown: unknown) => {
        if (!asksForTotp(thrown) || needsCode) throw thrown;
        setNeedsCode(true);
      }),
    );
  };

  return (
    <form className="form" onSubmit={submit}>
      <Field label="Name">
        <input
          value={name}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          data-autofocus
          data-testid="sign-in-name"
          onChange={(event) => setName(event.target.value)}
        />
      </Field>
      <Field label="Password">
        <input
          type="password"
          value={password}
          autoComplete="current-password"
          required
          data-testid="sign-in-password"
          onChange={(event) => setPassword(event.target.value)}
        />
      </Field>
      {needsCode && <CodeField code={code} onChange={setCode} />}
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <button type="submit" className="button primary" disabled={busy} data-testid="sign-in-submit">
        {busy ? 'Signing in…' : 'Sign in'}
      </button>
    </form>
  );
}

interface CodeFieldProps {
  readonly code: string;
  readonly onChange: (code: string) => void;
}

/** Six digits of an authenticator app. */
export function CodeField({ code, onChange }: CodeFieldProps) {
  return (
    <Field label="Code of your authenticator app">
      <input
        value={code}
        inputMode="numeric"
        autoComplete="one-time-code"
        pattern="[0-9]{6}"
        maxLength={6}
        required
        ref={focusNow}
        data-testid="totp-code"
        onChange={(event) => onChange(event.target.value.replace(/\D/g, ''))}
      />
    </Field>
  );
}

function SignUpForm({ options }: { readonly options: AuthOptions }) {
  const { session } = usePlatform();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [birthDate, setBirthDate] = useState('');
  const [accepted, setAccepted] = useState(false);
  const { busy, error, run, forget } = useAction();
  const { disclaimer, minimumAge } = options;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(() => session.signUp({ name, password, birthDate, disclaimerVersion: disclaimer.version }));
  };

  return (
    <form className="form" onSubmit={submit}>
      <Field label="Name" note="3 to 32 of a–z, 0–9, _ and -, beginning with a letter">
        <input
          value={name}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          pattern="[a-z][a-z0-9_\-]{2,31}"
          required
          onChange={(event) => setName(event.target.value)}
        />
      </Field>
      <Field label="Password" note="At least 10 characters, not your name and not a common one">
        <input
          type="password"
          value={password}
          autoComplete="new-password"
          minLength={10}
          maxLength={256}
          required
          onChange={(event) => setPassword(event.target.value)}
        />
      </Field>
      <Field label="Date of birth" note={`You must be ${minimumAge} or older`}>
        <input
          type="date"
          value={birthDate}
          autoComplete="bday"
          required
          onChange={(event) => setBirthDate(event.target.value)}
        />
      </Field>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long text is scrolled by keyboard */}
      <div className="disclaimer" tabIndex={0}>
        {disclaimer.text}
      </div>
      <label className="check">
        <input
          type="checkbox"
          checked={accepted}
          required
          onChange={(event) => setAccepted(event.target.checked)}
        />
        I have read and accept this (version {disclaimer.version})
      </label>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      <button type="submit" className="button primary" disabled={busy || !accepted}>
        {busy ? 'Creating…' : 'Create the account'}
      </button>
    </form>
  );
}

/** Telegram's own button is a script of theirs; it is loaded only where the platform has a bot, and returns by address. */
function TelegramButton({ bot }: { readonly bot: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    const script = document.createElement('script');
    script.src = 'https://telegram.org/js/telegram-widget.js?22';
    script.async = true;
    script.dataset.telegramLogin = bot;
    script.dataset.size = 'large';
    script.dataset.authUrl = `${location.origin}/login`;
    script.onerror = () => setFailed(true);
    place.current?.append(script);
    return () => script.remove();
  }, [bot]);
  return (
    <div className="telegram-login" ref={place}>
      {failed && (
        <p className="form-note">
          Telegram cannot be reached from this browser. Sign in with your password, or write to @{bot}.
        </p>
      )}
    </div>
  );
}
