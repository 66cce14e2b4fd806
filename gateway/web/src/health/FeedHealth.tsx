// Per venue: is its feed alive, and how old is its last tick. Opens to the figures of each feed.
import { usePlatform } from '../app/platform-context';
import { formatAge, formatUtc } from '../format/time';
import { type InstrumentId, venueOf } from '../market/instrument';
import { useStore } from '../state/store';
import { Popover } from '../ui/Popover';
import { useMedia } from '../ui/use-media';
import { useNow } from '../ui/use-now';
import { FeedTable } from './FeedTable';
import { byVenue, type VenueHealth } from './health-state';
import { StateMark } from './StateMark';

/** Chips that fit beside the rest of the top bar. */
const SHOWN = { wide: 4, middle: 2, narrow: 1 };
const TICK_MS = 500;

export function FeedHealth() {
  const { health, view } = usePlatform();
  const snapshot = useStore(health.snapshot);
  const symbol = useStore(view.symbol);
  const now = useNow(TICK_MS);
  const wide = useMedia('(width > 1240px)');
  const narrow = useMedia('(width <= 900px)');
  const shown = wide ? SHOWN.wide : narrow ? SHOWN.narrow : SHOWN.middle;
  const venues = snapshot === undefined ? [] : shownFirst(byVenue(snapshot, now), symbol);
  return (
    <Popover
      label={summary(venues)}
      buttonClass="feed-health"
      testId="feed-health"
      button={
        venues.length === 0 ? (
          <span className="feed-none">{snapshot === undefined ? 'Asking for feeds' : 'No feeds yet'}</span>
        ) : (
          <>
            {venues.slice(0, shown).map((venue) => (
              <VenueChip key={venue.venue} venue={venue} />
            ))}
            {venues.length > shown && <span className="feed-more">+{venues.length - shown}</span>}
          </>
        )
      }
    >
      <FeedTable venues={venues} health={snapshot?.health} />
    </Popover>
  );
}

/** The venue of the symbol on screen comes first: on a phone it is the only one with room. */
function shownFirst(venues: VenueHealth[], symbol: InstrumentId | undefined): VenueHealth[] {
  const own = symbol === undefined ? '' : venueOf(symbol);
  return venues.toSorted((a, b) => Number(b.venue === own) - Number(a.venue === own));
}

function VenueChip({ venue }: { readonly venue: VenueHealth }) {
  const last = venue.feeds.map((feed) => feed.lastEventTime ?? 0).reduce((a, b) => Math.max(a, b), 0);
  return (
    <span
      className="feed-chip"
      data-state={venue.state}
      title={last === 0 ? undefined : `Last tick ${formatUtc(last)}`}
    >
      <StateMark state={venue.state} />
      <span className="feed-venue">{venue.venue}</span>
      <span className="feed-age">
        {venue.state === 'ended' ? 'ended' : venue.ageMs === undefined ? '–' : formatAge(venue.ageMs)}
      </span>
    </span>
  );
}

/** For screen readers: worst news first. */
function summary(venues: readonly VenueHealth[]): string {
  if (venues.length === 0) return 'Feed health: no feeds';
  const ill = venues.filter(({ state }) => state !== 'live');
  if (ill.length === 0) return `Feed health: all ${venues.length} live`;
  return `Feed health: ${ill.map(({ venue, state }) => `${venue} ${state}`).join(', ')}`;
}
