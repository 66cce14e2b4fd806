// The user's backtests, newest first, and the card of the chosen one.
import { useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { CardView } from '../cards/CardView';
import { formatOpenTime, formatUtc } from '../format/time';
import { useStore } from '../state/store';
import { Change } from '../ui/Change';
import { LoadedList } from './LoadedList';

const NOTHING = {};

export function BacktestsTab() {
  const { panels } = usePlatform();
  const state = useStore(panels.backtests.state);
  const [chosen, setChosen] = useState<string>();
  useEffect(() => void panels.backtests.load(), [panels]);
  const run = state.value?.find(({ id }) => id === chosen);
  return (
    <div className="split">
      <div className="split-list">
        <LoadedList
          state={state}
          empty="No backtests yet. Ask: “Backtest a 20/50 cross on BTC 1h.”"
          onRetry={() => void panels.backtests.load()}
        >
          {(runs) => (
            <ul className="rows">
              {runs.map((entry) => (
                <li key={entry.id}>
                  <button
                    type="button"
                    aria-current={entry.id === chosen ? 'true' : undefined}
                    data-testid={`run-${entry.id}`}
                    onClick={() => setChosen(entry.id)}
                  >
                    <strong>
                      {entry.strategy}
                      {entry.report.totalReturn !== undefined && (
                        <Change fraction={entry.report.totalReturn} />
                      )}
                    </strong>
                    <span>
                      {entry.market} · {entry.interval}
                      {entry.at !== undefined && (
                        <time title={formatUtc(entry.at)}> · {formatOpenTime(entry.at / 1000, 60)}</time>
                      )}
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          )}
        </LoadedList>
      </div>
      <div className="split-detail">
        {run === undefined ? (
          <p className="empty">Choose a backtest to see its figures and curves.</p>
        ) : (
          <CardView
            key={run.id}
            card={{ kind: 'backtest', id: run.id, strategy: run.strategy, summary: NOTHING }}
          />
        )}
      </div>
    </div>
  );
}
