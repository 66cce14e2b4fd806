// The left rail: symbol search on top, the watch list below.
import { usePlatform } from '../app/platform-context';
import { SymbolSearch } from '../search/SymbolSearch';
import { useStore } from '../state/store';
import { WatchRow } from './WatchRow';
import './watchlist.css';

const SKELETON_ROWS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

export function WatchListPanel() {
  const { watchList, view } = usePlatform();
  const items = useStore(watchList.items);
  const symbol = useStore(view.symbol);
  return (
    <aside className="panel rail" data-panel="watch" aria-label="Watch list">
      <SymbolSearch />
      <div className="watch-head" aria-hidden="true">
        <span>Symbol</span>
        <span>24 h</span>
        <span>Last / change</span>
      </div>
      <ul className="watch-list" aria-busy={items === undefined}>
        {items?.map((id) => (
          <WatchRow key={id} id={id} active={id === symbol} />
        ))}
        {items === undefined &&
          SKELETON_ROWS.map((row) => (
            <li key={row} className="watch-row watch-skeleton" aria-hidden="true">
              <span className="skeleton skeleton-name" />
              <span className="skeleton skeleton-price" />
            </li>
          ))}
      </ul>
      {items?.length === 0 && (
        <p className="watch-empty">
          Nothing here yet. Press <kbd>S</kbd> to find a symbol and <kbd>Shift</kbd>+<kbd>Enter</kbd> to add
          it.
        </p>
      )}
    </aside>
  );
}
