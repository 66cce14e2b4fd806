// A message that has no turn yet: on its way, waiting behind another one, or not sent.
import { nextStep } from '../api/next-step';
import { usePlatform } from '../app/platform-context';
import type { Outgoing } from './conversation';

const STATES = { sending: 'Sending', queued: 'Waits for the answer before it', taken: 'Sent' } as const;

export function OutgoingMessage({ message }: { readonly message: Outgoing }) {
  const { chat } = usePlatform();
  const { state, error } = message;
  return (
    <article className="turn" data-testid="outgoing" data-state={state}>
      <div className="question">{message.text}</div>
      {state === 'failed' ? (
        <div className="not-sent" role="alert">
          <span>
            Not sent: {error?.message} {error === undefined ? '' : nextStep(error)}
          </span>
          <button type="button" className="button small" onClick={() => chat.resend(message)}>
            Send again
          </button>
          <button type="button" className="button small" onClick={() => chat.discard(message)}>
            Discard
          </button>
        </div>
      ) : (
        <div className="outgoing-state">{STATES[state]}</div>
      )}
    </article>
  );
}
