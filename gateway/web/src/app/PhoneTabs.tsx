// On a narrow screen the parts of the page are tabs at the bottom.
import { useStore } from '../state/store';
import { ChartIcon, ChatIcon, FileIcon, ListIcon, TradesIcon } from '../ui/icons';
import { usePlatform } from './platform-context';
import type { Tab } from './view-state';

const TABS: readonly (readonly [tab: Tab, label: string, icon: () => React.ReactNode])[] = [
  ['watch', 'Watch', ListIcon],
  ['chart', 'Chart', ChartIcon],
  ['trades', 'Trades', TradesIcon],
  ['chat', 'Chat', ChatIcon],
  ['work', 'Work', FileIcon],
];

export function PhoneTabs() {
  const { view } = usePlatform();
  const current = useStore(view.tab);
  return (
    <nav className="phone-tabs" aria-label="Parts of the page">
      {TABS.map(([tab, label, Icon]) => (
        <button
          key={tab}
          type="button"
          aria-current={tab === current ? 'page' : undefined}
          data-testid={`tab-${tab}`}
          onClick={() => view.tab.set(tab)}
        >
          <Icon />
          {label}
        </button>
      ))}
    </nav>
  );
}
