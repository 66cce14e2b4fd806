// One row of the watch list: symbol, 24-hour line, last price and change.
import { memo, useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatFixed } from '../format/number';
import { formatOpenTime, formatUtc } from '../format/time';
import { type InstrumentId, symbolOf, venueOf } from '../market/instrument';
import { useKeyed } from '../state/store';
import { Change } from '../ui/Change';
import { CloseIcon } from '../ui/icons';
import { useFlash } from '../ui/use-flash';
import { Sparkline } from './Sparkline';
import { usePrecision } from './use-precision';

interface WatchRowProps {
  readonly id: InstrumentId;
  readonly active: boolean;
}

export const WatchRow = memo(function WatchRow({ id, active }: WatchRowProps) {
  const { feed, dayStats, instruments, prefetch, view, watchList } = usePlatform();
  const last = useKeyed(feed.prices, id);
  const stats = useKeyed(dayStats.stats, id);
  const facts = useKeyed(instruments.facts, id);
  const price = last?.price ?? stats?.close;
  const precision = usePrecision(id, price);
  const priceRef = useFlash(last?.price, last?.direction ?? 'same');

  useEffect(() => feed.followTrades(id), [feed, id]);
  useEffect(() => dayStats.follow(id), [dayStats, id]);

  const symbol = symbolOf(id);
  const [base, quote] = symbol.split('/');
  const hint = () => prefetch.hint(id, view.interval.get());
  const absent = facts === 'absent';
  return (
    <li className="watch-row" data-active={active} data-testid={`watch-row-${id}`}>
      <button
        type="button"
        className="watch-open"
        aria-current={active}
        aria-label={`${symbol} on ${venueOf(id)}${price === undefined ? '' : `, ${formatFixed(price, precision.price)}`}`}
        onClick={() => view.open(id)}
        onPointerEnter={hint}
        onFocus={hint}
      >
        <span className="watch-name">
          <span className="watch-symbol">
            {base}
            {quote !== undefined && <span className="watch-quote">/{quote}</span>}
          </span>
          <span className="watch-venue">{venueOf(id)}</span>
        </span>
        {stats === undefined ? (
          <span className="spark-empty" />
        ) : (
          <Sparkline closes={stats.closes} rising={stats.close >= stats.open} />
        )}
        <span className="watch-figures">
          {price === undefined ? (
            <span className={absent ? 'watch-absent' : 'skeleton skeleton-price'}>
              {absent ? 'not served' : ''}
            </span>
          ) : (
            <span className="watch-price" ref={priceRef}>
              {formatFixed(price, precision.price)}
            </span>
          )}
          {price === undefined || stats === undefined ? (
            <span className="change">&nbsp;</span>
          ) : (
            <Change
              fraction={price / stats.open - 1}
              title={`Since ${formatOpenTime(stats.since, 900)} (${formatUtc(stats.since * 1000)})`}
            />
          )}
        </span>
      </button>
      <button
        type="button"
        className="watch-remove"
        aria-label={`Remove ${symbol} from the watch list`}
        title="Remove from the watch list"
        onClick={() => watchList.remove(id)}
      >
        <CloseIcon />
      </button>
    </li>
  );
});
