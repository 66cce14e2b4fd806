// The newest health of the platform, with the moment it arrived, and what the page makes of it per venue.
import type { Feed, FeedMode, FeedState, FetchHealth, Health } from '../api/health';
import { Store } from '../state/store';

export interface HealthSnapshot {
  readonly health: Health;
  /** Page clock, for ages that go on growing while nothing arrives. */
  readonly receivedAt: number;
}

export interface VenueHealth {
  readonly venue: string;
  readonly mode: FeedMode;
  readonly state: FeedState;
  readonly ageMs: number | undefined;
  readonly feeds: readonly Feed[];
}

/** Best first: a venue is as healthy as its best feed, since one is enough. */
const ORDER: readonly FeedState[] = ['live', 'stale', 'connecting', 'ended', 'down'];

/** One entry per venue, by name; ages include the time since the snapshot came. */
export function byVenue({ health, receivedAt }: HealthSnapshot, now: number): VenueHealth[] {
  const groups = new Map<string, Feed[]>();
  for (const feed of health.feeds) groups.set(feed.venue, [...(groups.get(feed.venue) ?? []), feed]);
  const waited = Math.max(0, now - receivedAt);
  return [...groups]
    .map(([venue, feeds]) => {
      const best = feeds.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))[0] as Feed;
      const ages = feeds.map((feed) => feed.ageMs).filter((age) => age !== undefined);
      const ageMs = ages.length === 0 ? undefined : Math.min(...ages) + waited;
      return { venue, mode: best.mode, state: best.state, ageMs, feeds };
    })
    .toSorted((a, b) => a.venue.localeCompare(b.venue));
}

const POLL_MS = 5000;

export class HealthState {
  readonly snapshot = new Store<HealthSnapshot | undefined>(undefined);
  private readonly fetchHealth: FetchHealth;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(fetchHealth: FetchHealth) {
    this.fetchHealth = fetchHealth;
  }

  readonly take = (health: Health): void => this.snapshot.set({ health, receivedAt: Date.now() });

  /** Asks over HTTP now and, while the live connection brings nothing, every few seconds. */
  start(): void {
    this.poll();
    this.timer = setInterval(() => {
      const last = this.snapshot.get()?.receivedAt ?? 0;
      if (Date.now() - last > POLL_MS) this.poll();
    }, POLL_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private poll(): void {
    this.fetchHealth()
      .then(this.take)
      // The connection state already tells the user that the gateway is away.
      .catch(() => undefined);
  }
}
