// Says in one big word where the prices come from: SIM, LIVE, REPLAY.
import type { PlatformMode } from '../api/health';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import './health.css';

const MEANING: Record<PlatformMode, string> = {
  SIM: 'Simulated market: prices are invented',
  LIVE: 'Live public data of the venues',
  REPLAY: 'Recorded data is played again',
  MIXED: 'Feeds of different kinds: see each venue',
  NONE: 'No feed is running',
};

const SHORT: Record<PlatformMode, string> = {
  SIM: 'Simulated market',
  LIVE: 'Live market data',
  REPLAY: 'Recorded market',
  MIXED: 'Mixed feeds',
  NONE: 'Waiting for a feed',
};

export function ModeBadge() {
  const { health } = usePlatform();
  const mode = useStore(health.snapshot)?.health.mode;
  return (
    <div className="mode" title={mode === undefined ? undefined : MEANING[mode]}>
      <span className="mode-badge" data-mode={mode ?? 'unknown'} data-testid="mode-badge" role="status">
        {mode === undefined ? '···' : mode === 'NONE' ? 'NO FEED' : mode}
      </span>
      <span className="mode-words">{mode === undefined ? '' : SHORT[mode]}</span>
    </div>
  );
}
