// Best bid and ask of the symbol on screen, with spread and the balance of their sizes.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatFixed, formatSize } from '../format/number';
import { formatUtc } from '../format/time';
import type { InstrumentId } from '../market/instrument';
import type { Quote } from '../market/trade';
import { useKeyed, useStore } from '../state/store';
import { type Precision, usePrecision } from '../watchlist/use-precision';
import { spreadOf } from './spread';
import './quote.css';

/** Prices with so many decimals leave no room for the absolute spread. */
const LONG_DECIMALS = 6;

export function QuoteStrip() {
  const { view } = usePlatform();
  const symbol = useStore(view.symbol);
  return (
    <section className="panel quote" data-panel="chart" aria-label="Best bid and ask">
      {symbol === undefined ? <Empty /> : <QuoteOf key={symbol} symbol={symbol} />}
    </section>
  );
}

function Empty() {
  return (
    <div className="quote-sides" aria-hidden="true">
      <span className="skeleton" />
      <span className="skeleton" />
    </div>
  );
}

function QuoteOf({ symbol }: { readonly symbol: InstrumentId }) {
  const { feed } = usePlatform();
  const quote = useKeyed(feed.quotes, symbol);
  const precision = usePrecision(symbol, quote?.bidPrice);
  useEffect(() => feed.followQuotes(symbol), [feed, symbol]);
  return quote === undefined ? <Empty /> : <Sides quote={quote} precision={precision} />;
}

function Sides({ quote, precision }: { readonly quote: Quote; readonly precision: Precision }) {
  const { absolute, basisPoints, bidShare } = spreadOf(quote);
  const long = precision.price >= LONG_DECIMALS;
  return (
    <>
      <div className="quote-sides" data-long={long} title={`Venue time ${formatUtc(quote.time)}`}>
        <div className="quote-side up">
          <span className="quote-label">Bid</span>
          <span className="quote-price" data-testid="bid">
            {formatFixed(quote.bidPrice, precision.price)}
          </span>
          <span className="quote-size">{formatSize(quote.bidSize, precision.size)}</span>
        </div>
        <div className="quote-spread">
          <span className="quote-label">Spread</span>
          {!long && <span>{formatFixed(absolute, precision.price)}</span>}
          <span className="quote-bps">{formatFixed(basisPoints, basisPoints < 1 ? 3 : 1)} bps</span>
        </div>
        <div className="quote-side down">
          <span className="quote-label">Ask</span>
          <span className="quote-price" data-testid="ask">
            {formatFixed(quote.askPrice, precision.price)}
          </span>
          <span className="quote-size">{formatSize(quote.askSize, precision.size)}</span>
        </div>
      </div>
      <div className="quote-balance" aria-hidden="true">
        <span style={{ transform: `scaleX(${bidShare.toFixed(3)})` }} />
      </div>
    </>
  );
}
