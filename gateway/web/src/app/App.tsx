// The layout of the page. Wide: rail, chart, quotes and trades side by side. Narrow: tabs.
import { useEffect } from 'react';
import { ChartPanel } from '../chart/ChartPanel';
import { CommandPalette } from '../palette/CommandPalette';
import { QuoteStrip } from '../quote/QuoteStrip';
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

export function App() {
  const platform = usePlatform();
  const { view } = platform;
  const tab = useStore(view.tab);
  const overlay = useStore(view.overlay);
  useEffect(() => listenToKeys(platform), [platform]);
  const close = () => view.overlay.set(undefined);
  return (
    <div className="app" data-tab={tab}>
      <PageTitle />
      <TopBar />
      <WatchListPanel />
      <ChartPanel />
      <QuoteStrip />
      <TradeTape />
      <PhoneTabs />
      {overlay === 'palette' && <CommandPalette onClose={close} />}
      {overlay === 'shortcuts' && <ShortcutHelp onClose={close} />}
    </div>
  );
}
