// The figures of every feed, in the panel behind the feed health.
import { Fragment } from 'react';
import type { Feed, Health } from '../api/health';
import { formatCount } from '../format/number';
import { formatAge } from '../format/time';
import { WarningIcon } from '../ui/icons';
import type { VenueHealth } from './health-state';
import { StateMark } from './StateMark';

interface FeedTableProps {
  readonly venues: readonly VenueHealth[];
  readonly health: Health | undefined;
}

const FIGURES: readonly (readonly [label: string, value: (feed: Feed) => number, hint: string])[] = [
  ['Symbols', (feed) => feed.symbols, 'Instruments of this feed'],
  ['Trades', (feed) => feed.ticks, 'Trades taken in since the start'],
  ['Quotes', (feed) => feed.quotes, 'Best bid and ask changes since the start'],
  ['Gaps', (feed) => feed.gaps, 'Holes in the trade numbers that were found'],
  ['Repaired', (feed) => feed.repairedTrades, 'Trades fetched again to fill holes'],
  ['Refused', (feed) => feed.rejected, 'Frames that were not understood and put aside'],
  ['Reconnects', (feed) => feed.reconnects, 'Times the venue had to be called again'],
];

export function FeedTable({ venues, health }: FeedTableProps) {
  if (venues.length === 0) {
    return (
      <p className="feed-empty">
        No feed has reported yet. A feed appears here a second after it starts; if none does, look at the log
        of the ingestor.
      </p>
    );
  }
  return (
    <div className="feed-table">
      {health?.problems.map((problem) => (
        <p key={problem} className="feed-problem">
          <WarningIcon />
          {problem}
        </p>
      ))}
      {venues.map(({ venue, mode, state, ageMs, feeds }) => (
        <section key={venue} className="feed-section">
          <h3>
            <StateMark state={state} />
            {venue}
            <span className="feed-tag">{mode}</span>
            <span className="feed-state">
              {state}
              {ageMs !== undefined && `, last tick ${formatAge(ageMs)} ago`}
            </span>
          </h3>
          {feeds.map((feed) => (
            <Fragment key={feed.ingestor}>
              <dl className="feed-figures">
                {FIGURES.map(([label, value, hint]) => (
                  <div key={label} title={hint}>
                    <dt>{label}</dt>
                    <dd>{formatCount(value(feed))}</dd>
                  </div>
                ))}
              </dl>
              {feed.detail !== '' && <p className="feed-detail">{feed.detail}</p>}
            </Fragment>
          ))}
        </section>
      ))}
      {health !== undefined && <p className="feed-version">Platform version {health.version}</p>}
    </div>
  );
}
