// Plain indicators for the mock gateway; the real ones are computed by the platform.

const sma = (values, n) => values.map((_, i) => (i + 1 < n ? null : mean(values.slice(i + 1 - n, i + 1))));

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function ema(values, n) {
  const k = 2 / (n + 1);
  let last;
  return values.map((value, i) => {
    last = last === undefined ? value : value * k + last * (1 - k);
    return i + 1 < n ? null : last;
  });
}

function rsi(values, n) {
  let gain = 0;
  let loss = 0;
  return values.map((value, i) => {
    const change = i === 0 ? 0 : value - values[i - 1];
    gain += (Math.max(change, 0) - gain) / n;
    loss += (Math.max(-change, 0) - loss) / n;
    return i < n ? null : 100 - 100 / (1 + gain / (loss || 1e-12));
  });
}

function atr(rows, n) {
  let last = 0;
  return rows.map(({ high, low }, i) => {
    const before = rows[i - 1]?.close ?? high;
    last += (Math.max(high, before) - Math.min(low, before) - last) / n;
    return i < n ? null : last;
  });
}

function vwap(rows) {
  let volume = 0;
  let money = 0;
  return rows.map((row) => {
    volume += row.volume;
    money += row.volume * ((row.high + row.low + row.close) / 3);
    return money / volume;
  });
}

/** Values by output for candles with numbers; undefined for an unknown indicator. */
export function computeIndicator(name, params, rows) {
  const closes = rows.map((row) => row.close);
  const [a = 14, b = 26, c = 9] = params;
  switch (name) {
    case 'sma':
      return { sma: sma(closes, a) };
    case 'ema':
      return { ema: ema(closes, a) };
    case 'rsi':
      return { rsi: rsi(closes, a) };
    case 'atr':
      return { atr: atr(rows, a) };
    case 'vwap':
      return { vwap: vwap(rows) };
    case 'bollinger': {
      const middle = sma(closes, a);
      const width = closes.map((_, i) => {
        if (i + 1 < a) return null;
        const part = closes.slice(i + 1 - a, i + 1);
        return (params[1] ?? 2) * Math.sqrt(mean(part.map((value) => (value - middle[i]) ** 2)));
      });
      const band = (sign) => middle.map((value, i) => (value === null ? null : value + sign * width[i]));
      return { upper: band(1), middle, lower: band(-1) };
    }
    case 'macd': {
      const slow = ema(closes, b);
      const macd = ema(closes, a).map((value, i) =>
        value === null || slow[i] === null ? null : value - slow[i],
      );
      const start = macd.findIndex((value) => value !== null);
      const signal = start === -1 ? macd : [...macd.slice(0, start), ...ema(macd.slice(start), c)];
      const histogram = macd.map((value, i) =>
        value === null || signal[i] === null ? null : value - signal[i],
      );
      return { macd, signal, histogram };
    }
    default:
      return undefined;
  }
}
