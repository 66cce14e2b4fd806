// Links a Telegram account by a code that is sent to the bot.
import { useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { ConfirmButton } from '../ui/ConfirmButton';
import { CopyButton } from '../ui/CopyButton';
import { Failure } from '../ui/Problem';
import { useAction } from '../ui/use-action';
import { useNow } from '../ui/use-now';

export function TelegramPage() {
  const { accountPages } = usePlatform();
  const account = useStore(accountPages.account.state).value;
  const bot = useStore(accountPages.options.state).value?.telegramBot;
  const [code, setCode] = useState<{ code: string; expiresAt: number }>();
  const { busy, error, run, forget } = useAction();
  const now = useNow(1000);
  useEffect(() => {
    void accountPages.account.load();
    void accountPages.options.load();
  }, [accountPages]);
  const left = code === undefined ? 0 : Math.ceil((code.expiresAt - now) / 1000);
  return (
    <div className="form">
      <p>
        {account?.telegram
          ? 'A Telegram account is linked: the same conversations, notices and commands work there.'
          : 'Link Telegram to talk to the same assistant there and to get notices while this page is closed.'}
      </p>
      {code !== undefined && left > 0 ? (
        <>
          <p>
            Send this to {bot === undefined ? 'the bot' : <strong>@{bot}</strong>} within {left} s:
          </p>
          <p className="secret-line">
            <code className="secret">/start {code.code}</code>
            <CopyButton text={`/start ${code.code}`} label="Copy the command" worded="Copy" />
          </p>
          {bot !== undefined && (
            <a
              className="button"
              href={`https://t.me/${bot}?start=${encodeURIComponent(code.code)}`}
              target="_blank"
              rel="noopener noreferrer"
            >
              Open Telegram
            </a>
          )}
          <button type="button" className="button" onClick={() => void accountPages.account.load()}>
            I have sent it
          </button>
        </>
      ) : (
        <button
          type="button"
          className="button primary"
          disabled={busy}
          onClick={() => void run(async () => setCode(await accountPages.api.telegramCode()))}
        >
          {account?.telegram ? 'Link another account' : 'Get a code'}
        </button>
      )}
      {account?.telegram === true && (
        <ConfirmButton
          label="Unlink"
          question="The bot no longer knows you."
          confirm="Unlink"
          disabled={busy}
          onConfirm={() => void run(accountPages.api.unlinkTelegram).then(() => accountPages.account.load())}
        />
      )}
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
    </div>
  );
}
