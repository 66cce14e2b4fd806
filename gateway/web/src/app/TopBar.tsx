// The top bar: what the prices are, whether the feeds and the connection live, commands, theme, help.
import { ConnectionState } from '../health/ConnectionState';
import { FeedHealth } from '../health/FeedHealth';
import { ModeBadge } from '../health/ModeBadge';
import { ThemeToggle } from '../theme/ThemeToggle';
import { KeyboardIcon, SearchIcon } from '../ui/icons';
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
      </div>
    </header>
  );
}
