// Shows the notices over the chart, and the whole-chart states: nothing there yet, nothing to be had.
import type { ApiError } from '../api/api-error';
import { focusSearch } from '../app/focus';
import { usePlatform } from '../app/platform-context';
import { byVenue } from '../health/health-state';
import { symbolOf, venueOf } from '../market/instrument';
import type { SeriesSession } from '../series/series-session';
import { useKeyed, useStore } from '../state/store';
import { InfoIcon, WarningIcon } from '../ui/icons';
import { useNow } from '../ui/use-now';
import { type Notice, noticesFor, waitOf } from './notices';

const SHOWN = 2;

export function ChartNotices({ session }: { readonly session: SeriesSession }) {
  const { hub, health, instruments } = usePlatform();
  const { instrument, series } = session.entry;
  const state = useStore(session.state);
  const connection = useStore(hub.socket.connection);
  const snapshot = useStore(health.snapshot);
  const facts = useKeyed(instruments.facts, instrument);
  const now = useNow(1000);
  const venue =
    snapshot === undefined
      ? undefined
      : byVenue(snapshot, now).find((candidate) => candidate.venue === venueOf(instrument));
  const notices = noticesFor({
    instrument,
    session: state,
    connection,
    health: snapshot?.health,
    venue,
    facts,
    now,
  });
  const empty = series.candles.length === 0;
  return (
    <>
      {state.phase === 'failed' && state.error !== undefined && (
        <Failure error={state.error} retryIn={waitOf(state.retryAt, now)} onRetry={session.retry} />
      )}
      {state.phase === 'ready' && empty && (
        <div className="chart-message" role="status">
          <InfoIcon />
          <strong>No candles of {symbolOf(instrument)} yet</strong>
          <p>The first one appears with the next trade. Another symbol or timeframe may have more.</p>
        </div>
      )}
      <div className="notices">
        {notices.slice(0, SHOWN).map((notice) => (
          <NoticeBar key={notice.id} notice={notice} onRetry={session.retry} />
        ))}
      </div>
    </>
  );
}

interface FailureProps {
  readonly error: ApiError;
  readonly retryIn: string;
  readonly onRetry: () => void;
}

function Failure({ error, retryIn, onRetry }: FailureProps) {
  return (
    <div className="chart-message" role="alert">
      <WarningIcon />
      <strong>{error.message}</strong>
      <p>
        {error.advice} {retryIn}
      </p>
      <button type="button" className="button primary" onClick={error.retryable ? onRetry : focusSearch}>
        {error.retryable ? 'Try now' : 'Find a symbol'}
      </button>
    </div>
  );
}

function NoticeBar({ notice, onRetry }: { readonly notice: Notice; readonly onRetry: () => void }) {
  return (
    <div className="notice" data-tone={notice.tone} data-testid={`notice-${notice.id}`}>
      {notice.tone === 'warning' ? <WarningIcon /> : <InfoIcon />}
      <span className="notice-text">
        <strong role="status">{notice.title}</strong> {notice.text}
      </span>
      {notice.action !== undefined && (
        <button
          type="button"
          className="button small"
          onClick={notice.action === 'retry' ? onRetry : focusSearch}
        >
          {notice.action === 'retry' ? 'Try now' : 'Find a symbol'}
        </button>
      )}
    </div>
  );
}
