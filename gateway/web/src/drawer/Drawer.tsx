// The bottom drawer: files, backtests, memory, activity. On a phone it is a tab of its own.
import { DRAWER_TABS, type DrawerTab } from '../app/layout-state';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { ChevronIcon } from '../ui/icons';
import { useMedia } from '../ui/use-media';
import { ActivityTab } from './ActivityTab';
import { BacktestsTab } from './BacktestsTab';
import { FilesTab } from './FilesTab';
import { MemoryTab } from './MemoryTab';
import './drawer.css';

const LABELS: Record<DrawerTab, string> = {
  files: 'Files',
  backtests: 'Backtests',
  memory: 'Memory',
  activity: 'Activity',
};

const BODIES: Record<DrawerTab, () => React.ReactNode> = {
  files: FilesTab,
  backtests: BacktestsTab,
  memory: MemoryTab,
  activity: ActivityTab,
};

export function Drawer() {
  const { layout, activity, session } = usePlatform();
  const phone = useMedia('(width <= 900px)');
  const open = useStore(layout.drawer);
  const last = useStore(layout.lastDrawer);
  const unread = useStore(activity.unread);
  const signedIn = useStore(session.state).status === 'signed-in';
  const shown = open ?? (phone ? last : undefined);
  const Body = shown === undefined ? undefined : BODIES[shown];
  return (
    <section
      className="panel drawer"
      data-panel="drawer"
      data-open={shown !== undefined}
      aria-label="Workspace"
    >
      <div className="drawer-tabs" role="tablist" aria-label="Workspace">
        {DRAWER_TABS.map((tab) => (
          <button
            key={tab}
            type="button"
            role="tab"
            aria-selected={tab === shown}
            data-testid={`drawer-${tab}`}
            onClick={() => (tab === open && !phone ? layout.toggleDrawer() : layout.openDrawer(tab))}
          >
            {LABELS[tab]}
            {tab === 'activity' && unread > 0 && <span className="badge">{unread}</span>}
          </button>
        ))}
        <button
          type="button"
          className="icon-button small drawer-toggle"
          aria-expanded={shown !== undefined}
          aria-label={shown === undefined ? 'Open the drawer' : 'Close the drawer'}
          title={shown === undefined ? 'Open the drawer (D)' : 'Close the drawer (D)'}
          onClick={layout.toggleDrawer}
        >
          <ChevronIcon />
        </button>
      </div>
      {Body !== undefined && (
        <div
          className="drawer-body"
          role="tabpanel"
          aria-label={shown === undefined ? undefined : LABELS[shown]}
        >
          {signedIn ? <Body /> : <p className="empty">Sign in to see your {shown}.</p>}
        </div>
      )}
    </section>
  );
}
