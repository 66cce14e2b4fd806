// Where one types: Enter sends, Shift+Enter begins a line, the arrow up brings back what was said, Stop stops.
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { COMPOSER_ID } from '../app/focus';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { SendIcon, StopIcon } from '../ui/icons';
import { runningTurn, saidBefore } from './conversation';
import { byteLength } from './segments';
import './composer.css';

/** What the gateway takes as one message. */
const MAX_BYTES = 32_768;
/** Messages that the gateway lets wait in a conversation. */
const MAX_WAITING = 8;

export function Composer() {
  const { chat } = usePlatform();
  const conversation = useStore(chat.conversation);
  const phase = useStore(chat.phase);
  const stopping = useStore(chat.stopping);
  const text = useStore(chat.draft);
  const [recalled, setRecalled] = useState(-1);
  const field = useRef<HTMLTextAreaElement>(null);
  const running = runningTurn(conversation);
  const waiting = conversation.outgoing.filter(({ state }) => state === 'queued').length;
  const isStopping = running !== undefined && stopping.has(running.id);
  const bytes = text.length > MAX_BYTES / 4 ? byteLength(text) : 0;
  const problem =
    bytes > MAX_BYTES
      ? `Too long: ${bytes} of ${MAX_BYTES} bytes. Shorten it, or put it into a file.`
      : waiting >= MAX_WAITING
        ? `${MAX_WAITING} messages wait already. Wait for an answer, or stop it.`
        : undefined;
  const ready = phase.status === 'ready' && text.trim() !== '' && problem === undefined;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text
  useEffect(() => {
    const node = field.current;
    if (node === null) return;
    node.style.height = 'auto';
    // In a tab that is not shown it has no height; the style's own is right for an empty field.
    if (node.scrollHeight > 0) node.style.height = `${Math.min(node.scrollHeight, 168)}px`;
  }, [text]);

  const send = () => {
    if (!ready) return;
    chat.send(text.trim());
    chat.draft.set('');
    setRecalled(-1);
  };

  /** Goes through what was said before; only from an empty field or from a recalled text. */
  const recall = (step: number): boolean => {
    const said = saidBefore(conversation);
    if (recalled === -1 && text !== '') return false;
    const next = Math.min(said.length - 1, recalled + step);
    if (next < -1 || said.length === 0) return false;
    setRecalled(next);
    chat.draft.set(next === -1 ? '' : (said[next] ?? ''));
    return true;
  };

  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // While an input method composes a character, its keys are not ours.
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && recall(1)) event.preventDefault();
    else if (event.key === 'ArrowDown' && recalled >= 0 && recall(-1)) event.preventDefault();
  };

  return (
    <div className="composer">
      <div className="composer-field">
        <textarea
          ref={field}
          id={COMPOSER_ID}
          data-testid="composer"
          rows={1}
          value={text}
          placeholder={
            running === undefined ? 'Ask, or tell it what to do' : 'Your next message waits its turn'
          }
          aria-label="Message to the assistant"
          aria-describedby="composer-hint"
          onChange={(event) => {
            chat.draft.set(event.target.value);
            setRecalled(-1);
          }}
          onKeyDown={onKey}
        />
        {running !== undefined && (
          <button
            type="button"
            className="stop-button"
            data-testid="stop"
            disabled={isStopping}
            title="Stop the answer and its tools (Esc)"
            onClick={() => void chat.stopTurn(running.id)}
          >
            <StopIcon />
            {isStopping ? 'Stopping…' : 'Stop'}
          </button>
        )}
        <button
          type="button"
          className="send-button"
          data-testid="send"
          aria-label={running === undefined ? 'Send' : 'Send after this answer'}
          title={running === undefined ? 'Send (Enter)' : 'Send after this answer (Enter)'}
          disabled={!ready}
          onClick={send}
        >
          <SendIcon />
        </button>
      </div>
      <p className="composer-hint" id="composer-hint" role={problem === undefined ? undefined : 'alert'}>
        {problem ?? (waiting > 0 ? `${waiting} waiting` : 'Numbers are underlined where a tool gave them')}
      </p>
    </div>
  );
}
