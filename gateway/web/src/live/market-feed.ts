// The latest trades and quotes of the followed instruments, published at most once per animation frame.
import type { InstrumentId } from '../market/instrument';
import type { Quote, Trade } from '../market/trade';
import type { FrameBatch } from '../state/frame-batch';
import { KeyedStore } from '../state/store';
import type { LiveHub } from './hub';
import { quoteTopic, tickTopic } from './topic';
import { mergeTrades } from './trade-list';

export interface LastPrice {
  readonly price: number;
  readonly time: number;
  /** Compared with the price before: drives arrows and colours. */
  readonly direction: 'up' | 'down' | 'same';
}

export interface TradeTape {
  /** Newest first, bounded. */
  readonly trades: readonly Trade[];
  /** Trades that the gateway left out because this page was too slow. */
  readonly skipped: number;
}

const NO_TRADES: TradeTape = { trades: [], skipped: 0 };
/** Between two frames more than this is thrown away (oldest first): the tape shows fewer anyway. */
const PENDING_LIMIT = 500;

export class MarketFeed {
  readonly prices = new KeyedStore<InstrumentId, LastPrice>();
  readonly tapes = new KeyedStore<InstrumentId, TradeTape>();
  readonly quotes = new KeyedStore<InstrumentId, Quote>();
  private readonly hub: LiveHub;
  private readonly frames: FrameBatch;
  private readonly pendingTrades = new Map<InstrumentId, Trade[]>();
  private readonly pendingQuotes = new Map<InstrumentId, Quote>();
  private readonly followers = new Map<InstrumentId, { count: number; stop: () => void }>();

  constructor(hub: LiveHub, frames: FrameBatch) {
    this.hub = hub;
    this.frames = frames;
  }

  /** Keeps trades and last price of an instrument coming until the returned function is called. */
  followTrades(instrument: InstrumentId): () => void {
    const known = this.followers.get(instrument);
    if (known) known.count += 1;
    else this.followers.set(instrument, { count: 1, stop: this.watchTrades(instrument) });
    return () => {
      const follower = this.followers.get(instrument);
      if (!follower) return;
      follower.count -= 1;
      if (follower.count > 0) return;
      follower.stop();
      this.followers.delete(instrument);
      this.tapes.delete(instrument);
    };
  }

  followQuotes(instrument: InstrumentId): () => void {
    const stop = this.hub.watch(quoteTopic(instrument), {
      message: (message) => {
        if (message.type !== 'quote') return;
        this.pendingQuotes.set(instrument, message.quote);
        this.frames.add(this.publish);
      },
    });
    return () => {
      stop();
      this.pendingQuotes.delete(instrument);
      this.quotes.delete(instrument);
    };
  }

  private watchTrades(instrument: InstrumentId): () => void {
    const stop = this.hub.watch(tickTopic(instrument), {
      message: (message) => {
        if (message.type === 'lagged') this.countSkipped(instrument, message.dropped);
        if (message.type !== 'tick') return;
        const pending = this.pendingTrades.get(instrument) ?? [];
        pending.push(message.trade);
        if (pending.length > PENDING_LIMIT) pending.shift();
        this.pendingTrades.set(instrument, pending);
        this.frames.add(this.publish);
      },
    });
    return () => {
      stop();
      this.pendingTrades.delete(instrument);
    };
  }

  private countSkipped(instrument: InstrumentId, dropped: number): void {
    const tape = this.tapes.get(instrument) ?? NO_TRADES;
    this.tapes.set(instrument, { ...tape, skipped: tape.skipped + dropped });
  }

  private readonly publish = (): void => {
    for (const [instrument, fresh] of this.pendingTrades) {
      const tape = this.tapes.get(instrument) ?? NO_TRADES;
      const trades = mergeTrades(tape.trades, fresh);
      if (trades !== tape.trades) this.tapes.set(instrument, { ...tape, trades });
      this.publishPrice(instrument, trades[0]);
    }
    this.pendingTrades.clear();
    for (const [instrument, quote] of this.pendingQuotes) this.quotes.set(instrument, quote);
    this.pendingQuotes.clear();
  };

  /** Late prints never move the last price: only a trade with the same or a later venue time does. */
  private publishPrice(instrument: InstrumentId, newest: Trade | undefined): void {
    const known = this.prices.get(instrument);
    if (newest === undefined || (known !== undefined && newest.time < known.time)) return;
    if (known !== undefined && newest.price === known.price) {
      if (newest.time > known.time) this.prices.set(instrument, { ...known, time: newest.time });
      return;
    }
    const direction = known === undefined ? 'same' : newest.price > known.price ? 'up' : 'down';
    this.prices.set(instrument, { price: newest.price, time: newest.time, direction });
  }
}
