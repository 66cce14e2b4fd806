// The seven timeframes; keys 1 to 7 choose them too.
import { usePlatform } from '../app/platform-context';
import { INTERVALS, intervalLabel, intervalName } from '../market/interval';
import { useStore } from '../state/store';

export function TimeframeBar() {
  const { view } = usePlatform();
  const current = useStore(view.interval);
  return (
    <fieldset className="timeframes" aria-label="Timeframe">
      {INTERVALS.map((interval, index) => (
        <button
          key={interval}
          type="button"
          className="timeframe"
          data-testid={`timeframe-${interval}`}
          aria-pressed={interval === current}
          aria-label={intervalName(interval)}
          title={`${intervalName(interval)} (${index + 1})`}
          onClick={() => view.interval.set(interval)}
        >
          {intervalLabel(interval)}
        </button>
      ))}
    </fieldset>
  );
}
