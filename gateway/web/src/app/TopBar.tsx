// The top bar: what the prices are, whether the feeds and the connection live, commands, theme, help.
import { ConnectionState } from '../health/ConnectionState';
import { FeedHealth } from '../health/FeedHealth';
import { ModeBadge } from '../health/ModeBadge';
import { useStore } from '../state/store';
import { ThemeToggle } from '../theme/ThemeToggle';
import { ChatIcon, KeyboardIcon, PersonIcon, SearchIcon } from '../ui/icons';
import { usePlatform } from './platform-context';

const COMMAND_KEY = /Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl';

export function TopBar() {
  const { view } = usePlatform();
  return (
    <header className="top-bar">
      <div className="brand">
        <img src="/icon.svg" alt="" width="24" height="24" />
        <span>DexOrder</span>
      </div>
      <ModeBadge />
      <FeedHealth />
      <div className="top-end">
        <ConnectionState />
        <button type="button" className="command-button" onClick={() => view.overlay.set('palette')}>
          <SearchIcon />
          <span>Commands</span>
          <kbd>{COMMAND_KEY} K</kbd>
        </button>
        <button
          type="button"
          className="icon-button help-button"
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts (?)"
          onClick={() => view.overlay.set('shortcuts')}
        >
          <KeyboardIcon />
        </button>
        <ThemeToggle />
        <ChatToggle />
        <AccountButton />
      </div>
    </header>
  );
}

function ChatToggle() {
  const { layout } = usePlatform();
  const open = useStore(layout.chatOpen);
  return (
    <button
      type="button"
      className="icon-button chat-toggle"
      aria-pressed={open}
      aria-label={open ? 'Hide the chat' : 'Show the chat'}
      title={open ? 'Hide the chat (C)' : 'Show the chat (C)'}
      onClick={layout.toggleChat}
    >
      <ChatIcon />
    </button>
  );
}

function AccountButton() {
  const { session, view } = usePlatform();
  const state = useStore(session.state);
  const signedIn = state.status === 'signed-in';
  const label = signedIn ? `Account of ${state.user.name}` : 'Sign in';
  return (
    <button
      type="button"
      className="account-button"
      data-testid="account-button"
      aria-label={label}
      title={label}
      disabled={state.status === 'starting'}
      onClick={() => view.overlay.set(signedIn ? 'account' : 'sign-in')}
    >
      <PersonIcon />
      <span>{signedIn ? state.user.name : state.status === 'starting' ? '' : 'Sign in'}</span>
    </button>
  );
}
