// What happened in the user's workspace and on the platform, newest first: what was recorded, and what comes live.
import { ApiError } from '../api/api-error';
import { type Call, nothing } from '../api/client';
import { asMoment, asRecord, type Json } from '../api/decode';
import { Store } from '../state/store';

export interface Activity {
  readonly key: string;
  /** Of a recorded notification: counts those of the user. */
  readonly number: number | undefined;
  readonly title: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly text: string;
}

/** What the outside world provides; tests pass fakes. */
export interface ActivityWorld {
  readonly now: () => number;
  /** The newest recorded notifications, as the gateway lists them. */
  readonly list: () => Promise<readonly unknown[]>;
  readonly markRead: (through: number) => Promise<void>;
  /** Tells that these were shown; false while there is no connection. */
  readonly confirm: (eventIds: readonly string[]) => boolean;
  /** Somebody looks at the page. */
  readonly isVisible: () => boolean;
}

const MAX_ACTIVITIES = 200;
const MAX_TEXT = 400;
const MAX_UNCONFIRMED = 256;

const NAMES: Readonly<Record<string, string>> = {
  message: 'Message',
  alert: 'Alert',
  backtest_finished: 'Backtest finished',
  strategy_changed: 'Strategy changed',
  workspace_changed: 'Workspace changed',
  agent_execution: 'Agent',
  portfolio_update: 'Portfolio',
  order_proposed: 'Order waits for approval',
  order_filled: 'Order filled',
};

const nameOfKind = (kind: string): string =>
  NAMES[kind] ?? `${kind.charAt(0).toUpperCase()}${kind.slice(1).replaceAll('_', ' ')}`;

/** One line of an event's payload, whatever its members are. */
export function lineOf(payload: unknown): string {
  if (typeof payload === 'string') return payload.slice(0, MAX_TEXT);
  if (typeof payload !== 'object' || payload === null) return '';
  const members = payload as Record<string, unknown>;
  for (const name of ['text', 'message', 'title', 'summary']) {
    const value = members[name];
    if (typeof value === 'string' && value !== '') return value.slice(0, MAX_TEXT);
  }
  return Object.entries(members)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${String(value)}`)
    .join(' · ')
    .slice(0, MAX_TEXT);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export class ActivityLog {
  readonly list = new Store<readonly Activity[]>([]);
  readonly unread = new Store(0);
  private readonly world: ActivityWorld;
  private made = 0;
  /** Shown or about to be, but not told to the gateway yet. */
  private readonly unconfirmed = new Set<string>();

  constructor(world: ActivityWorld) {
    this.world = world;
  }

  /** Reads what was recorded while nobody looked. */
  readonly load = async (): Promise<void> => {
    try {
      for (const value of (await this.world.list()).toReversed())
        this.add(value, asRecord(value).read === true);
    } catch (error) {
      // What comes live is shown all the same; a platform without a list has nothing else.
      if (!(error instanceof ApiError && error.status === 404))
        console.warn('the recorded notifications could not be read:', error);
    }
  };

  /** Takes a live event in; one that came before, by its id, is left out. */
  readonly take = (value: unknown): void => {
    try {
      if (asRecord(value).type === 'missed') void this.load();
      else this.add(value, false);
    } catch (error) {
      console.warn('an event was left out:', error);
    }
  };

  /** Tells the gateway what was shown, when there is somebody to see it and a connection to say it. */
  readonly confirmShown = (): void => {
    if (this.unconfirmed.size === 0 || !this.world.isVisible()) return;
    if (this.world.confirm([...this.unconfirmed])) this.unconfirmed.clear();
  };

  readonly markRead = (): void => {
    if (this.unread.get() === 0) return;
    this.unread.set(0);
    const newest = Math.max(0, ...this.list.get().map(({ number }) => number ?? 0));
    if (newest > 0) void this.world.markRead(newest).catch(() => undefined);
  };

  readonly clear = (): void => {
    this.list.set([]);
    this.unread.set(0);
    this.unconfirmed.clear();
  };

  private add(value: unknown, read: boolean): void {
    const event = asRecord(value);
    const activity = this.activityOf(event);
    const list = this.list.get();
    if (list.some(({ key }) => key === activity.key)) return;
    const sorted = [activity, ...list].sort((a, b) => b.at - a.at);
    this.list.set(sorted.slice(0, MAX_ACTIVITIES));
    if (read) return;
    this.unread.set(Math.min(this.unread.get() + 1, MAX_ACTIVITIES));
    if (activity.number === undefined || this.unconfirmed.size >= MAX_UNCONFIRMED) return;
    this.unconfirmed.add(activity.key);
    this.confirmShown();
  }

  private activityOf(event: Json): Activity {
    const stamp = event.created_at_ns ?? event.at_ns ?? event.at;
    const number = typeof event.number === 'number' ? event.number : undefined;
    const id = text(event.event_id) || text(event.id);
    this.made += 1;
    return {
      key: id || `made ${this.made}`,
      number,
      title: text(event.title) || nameOfKind(text(event.kind) || 'event'),
      at: stamp === undefined ? this.world.now() : asMoment(stamp, 'at'),
      text: text(event.text).slice(0, MAX_TEXT) || lineOf(event.payload ?? event.data),
    };
  }
}

const LISTED = 100;

/** The gateway's side of it. */
export const createActivityApi = (call: Call): Pick<ActivityWorld, 'list' | 'markRead'> => ({
  list: () =>
    call({ method: 'GET', path: 'notifications', query: { limit: LISTED } }, (body) => {
      const { notifications } = asRecord(body);
      return Array.isArray(notifications) ? notifications : [];
    }),
  markRead: (through) => call({ method: 'POST', path: 'notifications/read', body: { through } }, nothing),
});
