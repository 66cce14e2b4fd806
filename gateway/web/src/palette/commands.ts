// What the command palette can do besides opening symbols, and how typed words find it.
import type { AccountPage } from '../account/account-pages';
import { focusComposer } from '../app/focus';
import type { DrawerTab } from '../app/layout-state';
import type { Platform } from '../app/platform';
import { runningTurn } from '../chat/conversation';
import { chosenLabel, INDICATORS, withDefaults } from '../indicators/catalog';
import { symbolOf, venueOf } from '../market/instrument';
import { INTERVALS, intervalLabel, intervalName } from '../market/interval';

export interface Command {
  readonly id: string;
  readonly group:
    | 'Assistant'
    | 'Watch list'
    | 'Symbols'
    | 'Timeframe'
    | 'Indicators'
    | 'Workspace'
    | 'Account'
    | 'Page';
  readonly title: string;
  readonly hint: string;
  /** The key that does the same. */
  readonly key?: string;
  readonly run: () => void;
}

/** All commands in the order shown for an empty query. */
export function commandsOf(platform: Platform): Command[] {
  const { view, watchList, indicators, theme } = platform;
  const watched = (watchList.items.get() ?? []).map(
    (id): Command => ({
      id: `open ${id}`,
      group: 'Watch list',
      title: symbolOf(id),
      hint: venueOf(id),
      run: () => view.open(id),
    }),
  );
  const timeframes = INTERVALS.map(
    (interval, index): Command => ({
      id: interval,
      group: 'Timeframe',
      title: intervalLabel(interval),
      hint: intervalName(interval),
      key: String(index + 1),
      run: () => view.interval.set(interval),
    }),
  );
  const toggles = INDICATORS.map(
    ({ kind, title }): Command => ({
      id: kind,
      group: 'Indicators',
      title: chosenLabel(withDefaults(kind)),
      hint: title,
      run: () => indicators.toggle(kind),
    }),
  );
  const page: Command[] = [
    { id: 'dark', group: 'Page', title: 'Dark theme', hint: '', run: () => theme.choose('dark') },
    { id: 'light', group: 'Page', title: 'Light theme', hint: '', run: () => theme.choose('light') },
    {
      id: 'system',
      group: 'Page',
      title: 'Theme of the system',
      hint: '',
      run: () => theme.choose('system'),
    },
    {
      id: 'keys',
      group: 'Page',
      title: 'Keyboard shortcuts',
      hint: '',
      key: '?',
      run: () => view.overlay.set('shortcuts'),
    },
  ];
  return [
    ...assistantCommands(platform),
    ...watched,
    ...timeframes,
    ...toggles,
    ...personalCommands(platform),
    ...page,
  ];
}

/** What one does with the conversation; nothing for somebody who is not signed in. */
function assistantCommands({ session, chat, view, layout }: Platform): Command[] {
  if (session.user === undefined) return [];
  const toChat = () => {
    layout.chatOpen.set(true);
    view.tab.set('chat');
    requestAnimationFrame(() => focusComposer());
  };
  const stop: Command[] =
    runningTurn(chat.conversation.get()) === undefined
      ? []
      : [command('stop', 'Assistant', 'Stop the answer', () => void chat.stopTurn(), 'Esc')];
  const prompts = (chat.prompts.get() ?? []).map(({ id, label, text }) => ({
    ...command(`prompt ${id}`, 'Assistant', label, () => {
      toChat();
      chat.send(text);
    }),
    hint: text,
  }));
  return [
    ...stop,
    command('ask', 'Assistant', 'Ask the assistant', toChat, '/'),
    command('new conversation', 'Assistant', 'New conversation', () => {
      chat.startNew();
      toChat();
    }),
    ...prompts,
  ];
}

const command = (
  id: string,
  group: Command['group'],
  title: string,
  run: () => void,
  key?: string,
): Command => ({
  id,
  group,
  title,
  hint: '',
  run,
  ...(key === undefined ? {} : { key }),
});

function personalCommands({ session, layout, view, accountPages }: Platform): Command[] {
  const chat = command(
    'chat',
    'Page',
    layout.chatOpen.get() ? 'Hide the chat' : 'Show the chat',
    layout.toggleChat,
    'C',
  );
  if (session.user === undefined)
    return [command('sign in', 'Account', 'Sign in', () => view.overlay.set('sign-in')), chat];
  const open = (tab: DrawerTab) => () => {
    layout.openDrawer(tab);
    view.tab.set('work');
  };
  const page = (name: AccountPage) => () => {
    accountPages.page.set(name);
    view.overlay.set('account');
  };
  const admin =
    session.user.role === 'admin'
      ? [
          command('users', 'Account', 'Users', page('users')),
          command('audit', 'Account', 'Audit', page('audit')),
        ]
      : [];
  return [
    command('files', 'Workspace', 'Files', open('files')),
    command('backtests', 'Workspace', 'Backtests', open('backtests')),
    command('memory', 'Workspace', 'Memory', open('memory')),
    command('activity', 'Workspace', 'Activity', open('activity')),
    command('account', 'Account', 'Profile and limits', page('profile')),
    command('security', 'Account', 'Password and second factor', page('security')),
    command('sessions', 'Account', 'Sessions', page('sessions')),
    command('api keys', 'Account', 'API keys and MCP', page('keys')),
    ...admin,
    command('sign out', 'Account', 'Sign out', () => void session.signOut()),
    chat,
  ];
}

/** Every typed word must begin a word of the command. */
export function matches(command: Command, typed: string): boolean {
  const words = `${command.group} ${command.title} ${command.hint}`.toLowerCase().split(/[\s/·:-]+/);
  const whole = command.title.toLowerCase();
  return typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .every((word) => whole.startsWith(word) || words.some((candidate) => candidate.startsWith(word)));
}
