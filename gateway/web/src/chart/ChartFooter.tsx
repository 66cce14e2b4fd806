// The line below the chart: the user's clock with zone, and the credit that the chart library's licence asks for.
import { formatClock, formatUtc, formatZone } from '../format/time';
import { useNow } from '../ui/use-now';

export function ChartFooter() {
  const now = useNow(1000);
  return (
    <footer className="chart-footer">
      <a href="https://www.tradingview.com/" target="_blank" rel="noreferrer">
        Charts by TradingView Lightweight Charts™
      </a>
      <time dateTime={new Date(now).toISOString()} title={formatUtc(now - (now % 1000))}>
        {formatClock(now)} {formatZone(new Date(now).getTimezoneOffset())}
      </time>
    </footer>
  );
}
