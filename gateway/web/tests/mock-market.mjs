// A made-up market for the mock gateway: every price is a pure function of seed, symbol and time, so that history and
// live messages agree and a run can be repeated.

const SYMBOLS = [
  ['BTC/USDT', 67_000, 0.01, 0.00001],
  ['ETH/USDT', 3_480, 0.01, 0.0001],
  ['SOL/USDT', 182.4, 0.01, 0.001],
  ['XRP/USDT', 0.6123, 0.0001, 0.1],
  ['DOGE/USDT', 0.16234, 0.00001, 1],
  ['ADA/USDT', 0.4821, 0.0001, 0.1],
  ['AVAX/USDT', 36.42, 0.01, 0.01],
  ['LINK/USDT', 17.83, 0.001, 0.01],
  ['LTC/USDT', 84.6, 0.1, 0.001],
  ['SHIB/USDT', 0.00002417, 0.00000001, 1],
];

/** Only with `trouble: true`: SLOW keeps its history pending for two answers, FAIL cannot be loaded. */
const TROUBLE = [
  ['SLOW/USDT', 12.5, 0.01, 0.01],
  ['FAIL/USDT', 1.25, 0.01, 0.01],
];

export const INTERVALS = [1, 60, 300, 900, 3600, 14_400, 86_400];

const decimals = (step) => Math.max(0, Math.round(-Math.log10(step)));

/** Exact text of a decimal without superfluous zeros, as the contract asks. */
function text(value, places) {
  const fixed = value.toFixed(places);
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed;
}

/** A well-mixed number in [0, 1) from up to three integers. */
function hash(a, b = 0, c = 0) {
  let h =
    Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^
    Math.imul(b + 0x165667b1, 0xc2b2ae35) ^
    Math.imul(c + 0x27d4eb2f, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4_294_967_296;
}

/** Smooth noise: random values at whole numbers, joined by a soft step. */
function wave(seed, x) {
  const cell = Math.floor(x);
  const part = x - cell;
  const soft = part * part * (3 - 2 * part);
  return (hash(seed, cell) * (1 - soft) + hash(seed, cell + 1) * soft) * 2 - 1;
}

const WAVES = [
  [1_900_000, 0.09],
  [350_000, 0.045],
  [61_000, 0.02],
  [9_700, 0.009],
  [1_900, 0.0042],
  [410, 0.0019],
  [83, 0.0008],
  [17, 0.00035],
  [3.1, 0.00016],
];

export class MockInstrument {
  constructor(venue, seed, [symbol, base, tick, lot]) {
    this.venue = venue;
    this.symbol = symbol;
    this.base = base;
    this.tick = tick;
    this.lot = lot;
    this.seed =
      [...`${venue}${symbol}`].reduce((sum, char) => Math.imul(sum, 31) + char.charCodeAt(0), seed) | 0;
    this.priceDecimals = decimals(tick);
    this.sizeDecimals = decimals(lot);
    this.closed = new Map();
  }

  price(seconds) {
    let exponent = 0;
    for (const [period, size] of WAVES)
      exponent += size * wave(this.seed ^ Math.round(period * 7), seconds / period);
    return Math.round((this.base * Math.exp(exponent)) / this.tick) * this.tick;
  }

  /** The trades of one second: 0 to 11 of them. */
  trades(second) {
    const count = Math.floor(hash(this.seed, second, 1) * 12);
    return Array.from({ length: count }, (_, k) => {
      const time = second + (k + hash(this.seed, second, 20 + k)) / count;
      const bustle = Math.exp(1.6 * wave(this.seed ^ 77, second / 240) + wave(this.seed ^ 78, second / 7000));
      const size = (900 / this.base) * bustle * Math.exp(4 * (hash(this.seed, second, 40 + k) - 0.5));
      return {
        id: second * 16 + k,
        time,
        price: this.price(time),
        size: Math.max(this.lot, Math.round(size / this.lot) * this.lot),
        side: hash(this.seed, second, 80 + k) < 0.5 ? 'buy' : 'sell',
      };
    });
  }

  /** The candle as known at `now`; undefined when there was no trade. Long candles are sampled, the last second is exact. */
  candle(interval, open, now) {
    const key = open * 8 + INTERVALS.indexOf(interval);
    const known = this.closed.get(key);
    if (known !== undefined) return known;
    const isClosed = now >= open + interval;
    const end = Math.min(open + interval, Math.floor(now) + 1);
    const step = interval <= 60 ? 1 : interval / 24;
    let candle;
    const take = (second) => {
      for (const trade of this.trades(second)) if (trade.time <= now) candle = extend(candle, trade);
    };
    for (let second = open; second < end; second += step) take(Math.floor(second));
    if (step > 1) for (let second = Math.max(open, end - 3); second < end; second += 1) take(second);
    if (candle === undefined) return undefined;
    const volume = candle.volume * Math.max(1, step);
    const row = this.row(
      open,
      { ...candle, volume, count: Math.round(candle.count * Math.max(1, step)) },
      isClosed,
    );
    if (isClosed) this.closed.set(key, row);
    if (this.closed.size > 60_000) this.closed.clear();
    return row;
  }

  row(open, { first, high, low, last, volume, count }, isClosed) {
    const price = (value) => text(value, this.priceDecimals);
    return {
      open_time: new Date(open * 1000).toISOString().replace('.000Z', 'Z'),
      open: price(first),
      high: price(high),
      low: price(low),
      close: price(last),
      volume: text(volume, this.sizeDecimals),
      quote_volume: text(volume * last, this.priceDecimals),
      trades: count,
      revision: 0,
      closed: isClosed,
      repaired: false,
    };
  }

  quote(seconds) {
    const middle = this.price(seconds);
    const half = this.tick * (1 + Math.floor(hash(this.seed, Math.floor(seconds * 4), 3) * 3));
    const size = (salt) =>
      text((9000 / this.base) * (0.1 + hash(this.seed, Math.floor(seconds * 4), salt)), this.sizeDecimals);
    const time = new Date(seconds * 1000).toISOString();
    return {
      bid_price: text(middle - half, this.priceDecimals),
      bid_size: size(4),
      ask_price: text(middle + half, this.priceDecimals),
      ask_size: size(5),
      event_time: time,
      receive_time: time,
    };
  }

  tickMessage(trade) {
    return {
      venue: this.venue,
      symbol: this.symbol,
      trade_id: String(trade.id),
      event_time: new Date(trade.time * 1000).toISOString(),
      receive_time: new Date(trade.time * 1000 + 2).toISOString(),
      price: text(trade.price, this.priceDecimals),
      size: text(trade.size, this.sizeDecimals),
      side: trade.side,
    };
  }

  facts() {
    const [base, quote] = this.symbol.split('/');
    return {
      venue: this.venue,
      symbol: this.symbol,
      venue_symbol: `${base}${quote}`,
      base,
      quote,
      kind: this.venue.endsWith('USDM') ? 'perpetual' : 'spot',
      status: 'trading',
      tick_size: text(this.tick, this.priceDecimals),
      lot_size: text(this.lot, this.sizeDecimals),
      min_notional: '5',
      live: true,
    };
  }
}

function extend(candle, { price, size }) {
  if (candle === undefined)
    return { first: price, high: price, low: price, last: price, volume: size, count: 1 };
  return {
    first: candle.first,
    high: Math.max(candle.high, price),
    low: Math.min(candle.low, price),
    last: price,
    volume: candle.volume + size,
    count: candle.count + 1,
  };
}

export function createMarket({ seed, venues, trouble }) {
  return venues.flatMap((venue) =>
    [...SYMBOLS, ...(trouble && venue === venues[0] ? TROUBLE : [])].map(
      (row) => new MockInstrument(venue, seed, row),
    ),
  );
}
