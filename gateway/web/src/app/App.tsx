// The layout of the page. Wide: rail, chart, trades and chat side by side, the drawer below. Narrow: tabs.
import { type CSSProperties, lazy, Suspense, useEffect } from 'react';
import { ChartPanel } from '../chart/ChartPanel';
import { ChatPanel } from '../chat/ChatPanel';
import { Drawer } from '../drawer/Drawer';
import { CommandPalette } from '../palette/CommandPalette';
import { QuoteStrip } from '../quote/QuoteStrip';
import { SignInDialog } from '../session/SignIn';
import { useStore } from '../state/store';
import { TradeTape } from '../trades/TradeTape';
import { WatchListPanel } from '../watchlist/WatchListPanel';
import { PageTitle } from './PageTitle';
import { PhoneTabs } from './PhoneTabs';
import { usePlatform } from './platform-context';
import { ShortcutHelp } from './ShortcutHelp';
import { listenToKeys } from './shortcuts';
import { TopBar } from './TopBar';
import './app.css';

/** Seldom opened: fetched when it is. */
const AccountDialog = lazy(() => import('../account/AccountDialog'));

export function App() {
  const platform = usePlatform();
  const { view, layout } = platform;
  const tab = useStore(view.tab);
  const overlay = useStore(view.overlay);
  const chatOpen = useStore(layout.chatOpen);
  const chatWidth = useStore(layout.chatWidth);
  const drawer = useStore(layout.drawer);
  useEffect(() => listenToKeys(platform), [platform]);
  const close = () => view.overlay.set(undefined);
  return (
    <div
      className="app"
      data-tab={tab}
      data-chat={chatOpen}
      data-drawer={drawer !== undefined}
      style={{ '--chat-width': `${chatWidth}px` } as CSSProperties}
    >
      <PageTitle />
      <TopBar />
      <WatchListPanel />
      <ChartPanel />
      <QuoteStrip />
      <TradeTape />
      <ChatPanel />
      <Drawer />
      <PhoneTabs />
      {overlay === 'palette' && <CommandPalette onClose={close} />}
      {overlay === 'sign-in' && <SignInDialog onClose={close} />}
      {overlay === 'account' && (
        <Suspense>
          <AccountDialog onClose={close} />
        </Suspense>
      )}
      {overlay === 'shortcuts' && <ShortcutHelp onClose={close} />}
    </div>
  );
}
