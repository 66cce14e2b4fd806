// Name, last price and the day of the symbol on screen.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatFixed, formatVolume } from '../format/number';
import { formatOpenTime, formatUtc } from '../format/time';
import { type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import { useKeyed, useStore } from '../state/store';
import { Arrow, Change } from '../ui/Change';
import { StarIcon } from '../ui/icons';
import { useFlash } from '../ui/use-flash';
import { usePrecision } from '../watchlist/use-precision';

const KINDS = { spot: 'Spot', perpetual: 'Perpetual', future: 'Future' };

export function SymbolHeader() {
  const { view } = usePlatform();
  const symbol = useStore(view.symbol);
  return (
    <header className="symbol-header">
      {symbol === undefined ? <HeaderSkeleton /> : <HeaderOf key={symbol} id={symbol} />}
    </header>
  );
}

function HeaderSkeleton() {
  return (
    <>
      <span className="skeleton header-skeleton" />
      <span className="skeleton header-skeleton" />
    </>
  );
}

function HeaderOf({ id }: { readonly id: InstrumentId }) {
  const { feed, dayStats, instruments, watchList } = usePlatform();
  const last = useKeyed(feed.prices, id);
  const stats = useKeyed(dayStats.stats, id);
  const facts = useKeyed(instruments.facts, id);
  const watched = useStore(watchList.items)?.includes(id) ?? false;
  const price = last?.price ?? stats?.close;
  const precision = usePrecision(id, price);
  const priceRef = useFlash(last?.price, last?.direction ?? 'same');

  useEffect(() => feed.followTrades(id), [feed, id]);
  useEffect(() => dayStats.follow(id), [dayStats, id]);

  const figure = (value: number | undefined) =>
    value === undefined ? '–' : formatFixed(value, precision.price);
  return (
    <>
      <div className="symbol-name">
        <h1>{symbolOf(id)}</h1>
        <button
          type="button"
          className="star"
          aria-pressed={watched}
          aria-label={watched ? 'Remove from the watch list' : 'Add to the watch list'}
          title={watched ? 'Remove from the watch list' : 'Add to the watch list'}
          onClick={() => (watched ? watchList.remove(id) : watchList.add(id))}
        >
          <StarIcon />
        </button>
        <span className="symbol-venue">
          {venueOf(id)}
          {facts !== undefined && facts !== 'absent' && ` · ${KINDS[facts.kind]}`}
          {facts !== undefined && facts !== 'absent' && facts.status !== 'trading' && ` · ${facts.status}`}
        </span>
      </div>
      <div className="symbol-price">
        <span
          className={`last-price ${last?.direction ?? 'same'}`}
          data-testid="last-price"
          ref={priceRef}
          title={last === undefined ? undefined : `Venue time ${formatUtc(last.time)}`}
        >
          {price === undefined ? '–' : formatFixed(price, precision.price)}
        </span>
        <span className={`price-arrow ${last?.direction ?? 'same'}`}>
          <Arrow direction={last?.direction ?? 'same'} />
        </span>
      </div>
      <dl className="symbol-day">
        <div title={stats === undefined ? undefined : `Since ${formatOpenTime(stats.since, 900)}`}>
          <dt>24 h change</dt>
          <dd>
            {price === undefined || stats === undefined ? '–' : <Change fraction={price / stats.open - 1} />}
          </dd>
        </div>
        <div>
          <dt>24 h high</dt>
          <dd>{figure(stats === undefined ? undefined : Math.max(stats.high, price ?? 0))}</dd>
        </div>
        <div>
          <dt>24 h low</dt>
          <dd>{figure(stats === undefined ? undefined : Math.min(stats.low, price ?? stats.low))}</dd>
        </div>
        <div>
          <dt>24 h volume</dt>
          <dd>
            {stats === undefined ? '–' : `${formatVolume(stats.volume)} ${symbolOf(id).split('/')[0] ?? ''}`}
          </dd>
        </div>
      </dl>
    </>
  );
}
