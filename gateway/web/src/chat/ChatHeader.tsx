// Above the messages: which conversation, whether the workspace is awake and the connection lives, what it has cost.
import { usePlatform } from '../app/platform-context';
import { formatMicroUsd, formatTokens } from '../format/money';
import { useStore } from '../state/store';
import { CollapseIcon, PlusIcon } from '../ui/icons';
import { Popover } from '../ui/Popover';
import { MAIN } from './chat';
import type { ContainerInfo } from './chat-api';

export function ChatHeader() {
  const { chat, layout } = usePlatform();
  const { turns } = useStore(chat.conversation);
  const cost = turns.reduce((sum, { end }) => sum + (end?.costMicroUsd ?? 0), 0);
  const tokens = turns.reduce(
    (sum, { end }) => sum + (end?.usage.inputTokens ?? 0) + (end?.usage.outputTokens ?? 0),
    0,
  );
  return (
    <header className="chat-header">
      <ConversationMenu />
      <div className="chat-header-end">
        {(cost > 0 || tokens > 0) && (
          <span className="chat-spend" title="Of the messages shown here">
            {formatTokens(tokens)} tokens · {formatMicroUsd(cost)}
          </span>
        )}
        <Link />
        <ContainerChip />
        <button
          type="button"
          className="icon-button small"
          aria-label="New conversation"
          title="New conversation"
          data-testid="new-conversation"
          onClick={chat.startNew}
        >
          <PlusIcon />
        </button>
        <button
          type="button"
          className="icon-button small chat-hide"
          aria-label="Hide the chat"
          title="Hide the chat (C)"
          onClick={layout.toggleChat}
        >
          <CollapseIcon />
        </button>
      </div>
    </header>
  );
}

const titleOf = (id: string, title: string): string =>
  title || (id === MAIN ? 'Main conversation' : 'New conversation');

function ConversationMenu() {
  const { chat } = usePlatform();
  const list = useStore(chat.conversations);
  const { id } = useStore(chat.conversation);
  const current = list.find((entry) => entry.id === id);
  return (
    <Popover
      label="Conversations"
      buttonClass="conversation-button"
      button={<span>{titleOf(id, current?.title ?? '')}</span>}
    >
      <ul className="conversation-list">
        {list.length === 0 && <li className="conversation-none">Nothing has been said yet.</li>}
        {list.map((entry) => (
          <li key={entry.id}>
            <button
              type="button"
              aria-current={entry.id === id ? 'true' : undefined}
              onClick={() => void chat.open(entry.id)}
            >
              <span>{titleOf(entry.id, entry.title)}</span>
              {entry.runningTurn !== undefined && <span className="conversation-running">answering</span>}
            </button>
          </li>
        ))}
      </ul>
    </Popover>
  );
}

function Link() {
  const { chat } = usePlatform();
  const connection = useStore(chat.socket.connection);
  if (connection.status !== 'waiting') return null;
  return (
    <button
      type="button"
      className="chat-chip"
      data-state="bad"
      title="The live connection of the chat was lost; answers still come, more slowly. Click to try now."
      onClick={chat.socket.retryNow}
    >
      Reconnecting
    </button>
  );
}

const CONTAINER_WORDS: Record<ContainerInfo['state'], string> = {
  absent: 'No workspace yet',
  starting: 'Workspace starts',
  ready: 'Workspace ready',
  asleep: 'Workspace sleeps',
  failed: 'Workspace failed',
};

function ContainerChip() {
  const { chat } = usePlatform();
  const container = useStore(chat.container);
  if (container === undefined) return null;
  const words = CONTAINER_WORDS[container.state];
  const wakes = container.state !== 'ready' && container.state !== 'starting';
  const title = `${words}${container.message === '' ? '' : `: ${container.message}`}${wakes ? '. Click to wake it; a message does so too.' : ''}`;
  return (
    <button
      type="button"
      className="chat-chip container-chip"
      data-state={container.state}
      aria-label={words}
      title={title}
      disabled={!wakes}
      onClick={() => void chat.wakeContainer()}
    >
      <span className="dot" />
    </button>
  );
}
