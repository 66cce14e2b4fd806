// The messages from oldest to newest; stays at the end while one reads there, and nowhere else.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { Failure } from '../ui/Problem';
import { ChatSkeleton } from './ChatSkeleton';
import { OutgoingMessage } from './OutgoingMessage';
import { Prompts } from './Prompts';
import { TurnView } from './TurnView';
import { useEnd } from './use-end';

export function MessageList() {
  const { chat } = usePlatform();
  const phase = useStore(chat.phase);
  const conversation = useStore(chat.conversation);
  const older = useStore(chat.older);
  const problem = useStore(chat.problem);
  const { turns, outgoing, id } = conversation;
  const end = useEnd(id, outgoing.at(-1)?.messageId);

  const empty = phase.status === 'ready' && turns.length === 0 && outgoing.length === 0;
  return (
    <div className="messages-frame">
      <div
        ref={end.list}
        className="messages"
        data-testid="messages"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled by keyboard
        tabIndex={0}
        role="log"
        aria-label="Messages"
        aria-live="off"
        onScroll={end.onScroll}
      >
        <div ref={end.content} className="messages-content">
          {phase.status === 'loading' && <ChatSkeleton />}
          {phase.status === 'failed' && (
            <Failure error={phase.error} onRetry={() => void chat.open(conversation.id)} />
          )}
          {older !== undefined && (
            <button type="button" className="button small older" onClick={() => void chat.loadOlder()}>
              Earlier messages
            </button>
          )}
          {empty && <Prompts />}
          {turns.map((turn) => (
            <TurnView key={turn.id} turn={turn} />
          ))}
          {outgoing.map((message) => (
            <OutgoingMessage key={message.messageId} message={message} />
          ))}
          {problem !== undefined && <Failure error={problem} onDismiss={() => chat.problem.set(undefined)} />}
        </div>
      </div>
      {end.away && (
        <button type="button" className="button small to-end" onClick={end.go}>
          Newest message
        </button>
      )}
    </div>
  );
}
