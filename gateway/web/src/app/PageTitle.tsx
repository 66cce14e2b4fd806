// The title of the browser tab: last price and symbol, renewed once a second.
import { formatFixed } from '../format/number';
import { type InstrumentId, symbolOf } from '../market/instrument';
import { useStore } from '../state/store';
import { useNow } from '../ui/use-now';
import { usePrecision } from '../watchlist/use-precision';
import { usePlatform } from './platform-context';

export function PageTitle() {
  const { view } = usePlatform();
  const symbol = useStore(view.symbol);
  return symbol === undefined ? <title>DexOrder</title> : <TitleOf symbol={symbol} />;
}

function TitleOf({ symbol }: { readonly symbol: InstrumentId }) {
  const { feed } = usePlatform();
  useNow(1000);
  const price = feed.prices.get(symbol)?.price;
  const precision = usePrecision(symbol, price);
  const figure = price === undefined ? '' : `${formatFixed(price, precision.price)} · `;
  return <title>{`${figure}${symbolOf(symbol)} · DexOrder`}</title>;
}
