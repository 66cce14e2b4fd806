// The keyboard of the page: one table for the keys themselves and for the help that lists them.
import { INTERVALS } from '../market/interval';
import { focusComposer, focusSearch } from './focus';
import type { Platform } from './platform';

export interface Shortcut {
  /** As shown in the help. */
  readonly keys: readonly string[];
  readonly does: string;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: ['/'], does: 'Write to the assistant; without an account, find a symbol' },
  { keys: ['S'], does: 'Find a symbol' },
  { keys: ['j', 'k'], does: 'Next or previous symbol of the watch list' },
  { keys: ['1', '…', '7'], does: 'Timeframe, from 1 second to 1 day' },
  { keys: ['Ctrl', 'K'], does: 'Commands' },
  { keys: ['C'], does: 'Show or hide the chat' },
  { keys: ['D'], does: 'Open or close the drawer' },
  { keys: ['T'], does: 'Dark or light' },
  { keys: ['?'], does: 'These shortcuts' },
  { keys: ['Esc'], does: 'Close, or stop the answer' },
  { keys: ['←', '→'], does: 'Move the chart, when it has the focus' },
  { keys: ['+', '−'], does: 'Zoom the chart, when it has the focus' },
  { keys: ['End'], does: 'Newest candle, when the chart has the focus' },
  { keys: ['0'], does: 'Reset zoom, when the chart has the focus' },
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));

/** Goes to the composer; without a chat to write to, does the other thing. */
function write({ view, layout, session }: Platform, otherwise: () => void): void {
  if (session.user === undefined) {
    otherwise();
    return;
  }
  layout.chatOpen.set(true);
  view.tab.set('chat');
  requestAnimationFrame(() => focusComposer());
}

/** Listens on the whole window; the returned function ends it. */
export function listenToKeys(platform: Platform): () => void {
  const { view, watchList, theme, layout, chat } = platform;
  const step = (by: number) => {
    const next = watchList.neighbour(view.symbol.get(), by);
    if (next !== undefined) view.symbol.set(next);
  };
  const findSymbol = () => {
    view.tab.set('watch');
    // On a phone the field comes with its tab.
    requestAnimationFrame(focusSearch);
    focusSearch();
  };
  const plain: Record<string, () => void> = {
    '/': () => write(platform, findSymbol),
    s: findSymbol,
    c: layout.toggleChat,
    d: layout.toggleDrawer,
    j: () => step(1),
    k: () => step(-1),
    t: theme.toggle,
    '?': () => view.overlay.set('shortcuts'),
    ...Object.fromEntries(INTERVALS.map((interval, i) => [String(i + 1), () => view.interval.set(interval)])),
  };

  const onKey = (event: KeyboardEvent) => {
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      view.overlay.set(view.overlay.get() === 'palette' ? undefined : 'palette');
      return;
    }
    if (command || event.altKey || event.defaultPrevented || view.overlay.get() !== undefined) return;
    if (event.key === 'Escape') {
      // Whatever is open closes first; it keeps the key to itself.
      void chat.stopTurn();
      return;
    }
    if (isTyping(event.target)) return;
    const action = plain[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  };
  window.addEventListener('keydown', onKey);
  return () => window.removeEventListener('keydown', onKey);
}
