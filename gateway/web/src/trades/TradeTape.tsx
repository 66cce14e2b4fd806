// Recent trades of the symbol on screen, newest on top. Holds still while the pointer is on it.
import { memo, useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatCount, formatFixed, formatSize } from '../format/number';
import { formatClock, formatUtc } from '../format/time';
import type { TradeTape as Tape } from '../live/market-feed';
import type { InstrumentId } from '../market/instrument';
import type { Trade } from '../market/trade';
import { useKeyed, useStore } from '../state/store';
import { Arrow } from '../ui/Change';
import { type Precision, usePrecision } from '../watchlist/use-precision';
import './trades.css';

const ROWS = 60;
const SIDES = { buy: 'up', sell: 'down', unknown: 'same' } as const;
const SKELETONS = Array.from({ length: 18 }, (_, index) => `row-${index}`);

export function TradeTape() {
  const { view } = usePlatform();
  const symbol = useStore(view.symbol);
  return (
    <section className="panel tape" data-panel="trades" aria-label="Recent trades">
      {symbol === undefined ? <TapeHead /> : <TapeOf key={symbol} symbol={symbol} />}
    </section>
  );
}

function TapeHead({ note }: { readonly note?: string | undefined }) {
  return (
    <header className="tape-head">
      <h2>Trades</h2>
      <span className="tape-note" role="status">
        {note}
      </span>
    </header>
  );
}

function noteOf(tape: Tape | undefined, frozen: Tape | undefined): string | undefined {
  if (frozen !== undefined && tape !== undefined) {
    const top = frozen.trades[0];
    const fresh = tape.trades.findIndex((trade) => trade.tradeId === top?.tradeId);
    return `Held, ${fresh === -1 ? 'many' : fresh} new`;
  }
  if (tape !== undefined && tape.skipped > 0)
    return `${formatCount(tape.skipped)} left out: this page was slow`;
  return undefined;
}

function TapeOf({ symbol }: { readonly symbol: InstrumentId }) {
  const { feed, instruments } = usePlatform();
  const tape = useKeyed(feed.tapes, symbol);
  const absent = useKeyed(instruments.facts, symbol) === 'absent';
  const [frozen, setFrozen] = useState<Tape>();
  useEffect(() => feed.followTrades(symbol), [feed, symbol]);
  const shown = (frozen ?? tape)?.trades.slice(0, ROWS) ?? [];
  const precision = usePrecision(symbol, shown[0]?.price);
  const largest = Math.max(...shown.map((trade) => trade.size), 0);

  return (
    <>
      <TapeHead note={noteOf(tape, frozen)} />
      <div className="tape-row tape-columns" aria-hidden="true">
        <span>Price</span>
        <span>Size</span>
        <span>Time</span>
      </div>
      <ul
        className="tape-list"
        onPointerEnter={(event) => event.pointerType === 'mouse' && setFrozen(tape)}
        onPointerLeave={() => setFrozen(undefined)}
      >
        {shown.map((trade, slot) => (
          // Rows are slots that stay where they are; only their text changes.
          // biome-ignore lint/suspicious/noArrayIndexKey: see above
          <TradeRow key={slot} trade={trade} precision={precision} share={shareOf(trade, largest)} />
        ))}
        {shown.length === 0 &&
          !absent &&
          SKELETONS.map((key) => (
            <li key={key} className="tape-row" aria-hidden="true">
              <span className="skeleton skeleton-cell" />
              <span className="skeleton skeleton-cell" />
              <span className="skeleton skeleton-cell" />
            </li>
          ))}
      </ul>
    </>
  );
}

/** Length of the bar behind a trade, 0 to 1 in steps that the eye can tell apart. */
const shareOf = (trade: Trade, largest: number): number =>
  largest === 0 ? 0 : Math.ceil(Math.sqrt(trade.size / largest) * 20) / 20;

interface TradeRowProps {
  readonly trade: Trade;
  readonly precision: Precision;
  readonly share: number;
}

const TradeRow = memo(
  function TradeRow({ trade, precision, share }: TradeRowProps) {
    const direction = SIDES[trade.side];
    return (
      <li className={`tape-row ${direction}`} data-testid="trade-row">
        <span className="tape-bar" style={{ transform: `scaleX(${share})` }} />
        <span className="tape-price">
          {formatFixed(trade.price, precision.price)}
          <Arrow direction={direction} />
        </span>
        <span>{formatSize(trade.size, precision.size)}</span>
        <time
          className="tape-time"
          dateTime={new Date(trade.time).toISOString()}
          title={formatUtc(trade.time)}
        >
          {formatClock(trade.time)}
        </time>
      </li>
    );
  },
  (a, b) =>
    a.trade === b.trade &&
    a.share === b.share &&
    a.precision.price === b.precision.price &&
    a.precision.size === b.precision.size,
);
