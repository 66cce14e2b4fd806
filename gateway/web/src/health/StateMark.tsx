// The state of a feed as a shape: told apart without colour.
import type { FeedState } from '../api/health';

export function StateMark({ state }: { readonly state: FeedState }) {
  return (
    <svg
      className="state-mark"
      data-state={state}
      viewBox="0 0 10 10"
      width="10"
      height="10"
      aria-hidden="true"
    >
      {state === 'live' && <circle cx="5" cy="5" r="4" />}
      {state === 'stale' && <path d="M5 .8 9.6 9H.4z" />}
      {state === 'connecting' && (
        <circle cx="5" cy="5" r="3.2" fill="none" stroke="currentColor" strokeWidth="1.6" />
      )}
      {state === 'ended' && <path d="M1.5 1.5h7v7h-7z" />}
      {state === 'down' && <path d="m1.5 1.5 7 7m0-7-7 7" stroke="currentColor" strokeWidth="2.2" />}
    </svg>
  );
}
