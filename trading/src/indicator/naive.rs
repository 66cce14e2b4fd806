//! Every indicator written down from its definition, computed from scratch over a whole history, slow and plain.

use crate::{IndicatorKind as Kind, IndicatorSpec};
use proto::Interval;
use proto::market::Candle;

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let middle = mean(values);
    mean(&values.iter().map(|x| (x - middle) * (x - middle)).collect::<Vec<_>>()).sqrt()
}

/// The recursive average of a whole history from its first value: `seed`, then `step` for each further one.
fn recursive(values: &[f64], n: usize, weight: f64) -> Option<f64> {
    let seed = mean(values.get(..n)?);
    Some(values[n..].iter().fold(seed, |average, value| weight * value + (1.0 - weight) * average))
}

#[allow(clippy::cast_precision_loss)]
fn ema(values: &[f64], n: usize) -> Option<f64> {
    recursive(values, n, 2.0 / (n as f64 + 1.0))
}

#[allow(clippy::cast_precision_loss)]
fn wilder(values: &[f64], n: usize) -> Option<f64> {
    recursive(values, n, 1.0 / n as f64)
}

/// The values of `of` at the end of each longer and longer part of a series, as far as there are some.
fn series(values: &[f64], of: impl Fn(&[f64]) -> Option<f64>) -> Vec<f64> {
    (1..=values.len()).filter_map(|end| of(&values[..end])).collect()
}

fn tail(values: &[f64], n: usize) -> Option<&[f64]> {
    values.len().checked_sub(n).map(|start| &values[start..])
}

fn sma(values: &[f64], n: usize) -> Option<f64> {
    tail(values, n).map(mean)
}

#[allow(clippy::cast_precision_loss)]
fn wma(values: &[f64], n: usize) -> Option<f64> {
    let window = tail(values, n)?;
    let weighted: f64 = window.iter().enumerate().map(|(at, x)| (at + 1) as f64 * x).sum();
    Some(weighted / (n * (n + 1)) as f64 * 2.0)
}

fn rsi(values: &[f64], n: usize) -> Option<f64> {
    let changes: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let gains: Vec<f64> = changes.iter().map(|c| c.max(0.0)).collect();
    let losses: Vec<f64> = changes.iter().map(|c| (-c).max(0.0)).collect();
    let (gain, loss) = wilder(&gains, n).zip(wilder(&losses, n))?;
    Some(if gain + loss > 0.0 { 100.0 - 100.0 / (1.0 + gain / loss) } else { 50.0 })
}

fn place(window: &[f64], last: f64, flat: f64) -> f64 {
    let (high, low) =
        (window.iter().copied().fold(f64::MIN, f64::max), window.iter().copied().fold(f64::MAX, f64::min));
    if high - low > flat { 100.0 * (last - low) / (high - low) } else { 50.0 }
}

/// %K and %D from the places.
fn smoothed(places: &[f64], k: usize, d: usize) -> Vec<Option<f64>> {
    let line = series(places, |part| sma(part, k));
    vec![line.last().copied(), sma(&line, d)]
}

struct Columns {
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    typical: Vec<f64>,
    volume: Vec<f64>,
    range: Vec<f64>,
}

impl Columns {
    fn of(history: &[Candle]) -> Self {
        let column = |of: fn(&Candle) -> f64| history.iter().map(of).collect::<Vec<f64>>();
        let mut range = column(|c| c.high.to_f64() - c.low.to_f64());
        for (at, pair) in history.windows(2).enumerate() {
            let (close, high, low) = (pair[0].close.to_f64(), pair[1].high.to_f64(), pair[1].low.to_f64());
            range[at + 1] = (high - low).max((high - close).abs()).max((low - close).abs());
        }
        Self {
            high: column(|c| c.high.to_f64()),
            low: column(|c| c.low.to_f64()),
            close: column(|c| c.close.to_f64()),
            typical: column(|c| (c.high.to_f64() + c.low.to_f64() + c.close.to_f64()) / 3.0),
            volume: column(|c| c.volume.to_f64()),
            range,
        }
    }

    /// Highs and lows of the last `n` candles in one list.
    fn prices(&self, end: usize, n: usize) -> Option<Vec<f64>> {
        let start = end.checked_sub(n)?;
        Some([&self.high[start..end], &self.low[start..end]].concat())
    }

    fn flow(&self, at: usize) -> f64 {
        let (high, low, close) = (self.high[at], self.low[at], self.close[at]);
        if high > low { ((close - low) - (high - close)) / (high - low) * self.volume[at] } else { 0.0 }
    }

    fn directional(&self, n: usize) -> Vec<Option<f64>> {
        let moves: Vec<(f64, f64)> = (1..self.high.len())
            .map(|at| (self.high[at] - self.high[at - 1], self.low[at - 1] - self.low[at]))
            .map(|(up, down)| (if up > down { up.max(0.0) } else { 0.0 }, if down > up { down.max(0.0) } else { 0.0 }))
            .collect();
        let (plus, minus): (Vec<f64>, Vec<f64>) = moves.into_iter().unzip();
        let share = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
        let lines = |end: usize| {
            let range = wilder(&self.range[1..=end], n)?;
            Some((share(wilder(&plus[..end], n)?, range), share(wilder(&minus[..end], n)?, range)))
        };
        let indices: Vec<f64> = (1..=plus.len()).filter_map(lines).map(|(p, m)| share((p - m).abs(), p + m)).collect();
        let last = lines(plus.len());
        vec![wilder(&indices, n), last.map(|l| l.0), last.map(|l| l.1)]
    }

    #[allow(clippy::cast_precision_loss)]
    fn aroon(&self, n: usize) -> Vec<Option<f64>> {
        if self.high.len() <= n {
            return vec![None; 3];
        }
        let start = self.high.len() - n - 1;
        let (mut top, mut bottom) = (start, start);
        for at in start..self.high.len() {
            top = if self.high[at] >= self.high[top] { at } else { top };
            bottom = if self.low[at] <= self.low[bottom] { at } else { bottom };
        }
        let up = (top - start) as f64 / n as f64 * 100.0;
        let down = (bottom - start) as f64 / n as f64 * 100.0;
        vec![Some(up), Some(down), Some(up - down)]
    }

    /// Wilder's worksheet, downwards as the mirror image of upwards.
    fn parabolic(&self, step: f64, most: f64) -> Option<f64> {
        let (high, low) = (&self.high, &self.low);
        if high.len() < 2 {
            return None;
        }
        let step = step.min(most);
        let (up, down) = (high[1] - high[0], low[0] - low[1]);
        let mut sign = if down > 0.0 && down > up { -1.0 } else { 1.0 };
        // In the mirror the market always rises: `top` is where it goes, `bottom` where its stop is.
        let top = |at: usize, sign: f64| if sign > 0.0 { high[at] } else { -low[at] };
        let bottom = |at: usize, sign: f64| if sign > 0.0 { low[at] } else { -high[at] };
        let (mut stop, mut extreme, mut factor) = (bottom(0, sign), top(1, sign), step);
        let mut shown = 0.0;
        for at in 1..high.len() {
            let bound = if at == 1 { 1 } else { at - 1 };
            if bottom(at, sign) <= stop {
                sign = -sign;
                stop = (-extreme).min(bottom(bound, sign)).min(bottom(at, sign));
                shown = sign * stop;
                (extreme, factor) = (top(at, sign), step);
            } else {
                shown = sign * stop;
                if top(at, sign) > extreme {
                    (extreme, factor) = (top(at, sign), (factor + step).min(most));
                }
            }
            stop = (stop + factor * (extreme - stop)).min(bottom(bound, sign)).min(bottom(at, sign));
        }
        Some(shown)
    }

    fn kama(&self, n: usize) -> Option<f64> {
        let closes = &self.close;
        let mut kama = *closes.get(n - 1).filter(|_| closes.len() > n)?;
        for at in n..closes.len() {
            let path: f64 = closes[at - n..=at].windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
            let ratio = if path > 0.0 { (closes[at] - closes[at - n]).abs() / path } else { 1.0 };
            kama += (ratio * (2.0 / 3.0 - 2.0 / 31.0) + 2.0 / 31.0).powi(2) * (closes[at] - kama);
        }
        Some(kama)
    }

    #[allow(clippy::cast_precision_loss)]
    fn slope(&self, n: usize) -> Option<f64> {
        let window = tail(&self.close, n)?;
        let (x_mean, y_mean) = ((n as f64 - 1.0) / 2.0, mean(window));
        let xs = || (0..n).map(|x| x as f64 - x_mean);
        let product: f64 = xs().zip(window).map(|(x, y)| x * (y - y_mean)).sum();
        Some(product / xs().map(|x| x * x).sum::<f64>())
    }

    fn mfi(&self, n: usize) -> Option<f64> {
        let start = self.typical.len().checked_sub(n + 1)?;
        let (mut rising, mut falling) = (0.0, 0.0);
        for at in start + 1..self.typical.len() {
            let flow = self.typical[at] * self.volume[at];
            match self.typical[at] - self.typical[at - 1] {
                // A hundredth of a cent at least, unless it is rounding.
                change if change > 1e-5 => rising += flow,
                change if change < -1e-5 => falling += flow,
                _ => {}
            }
        }
        Some(if rising + falling > 0.0 { 100.0 * rising / (rising + falling) } else { 50.0 })
    }

    fn cci(&self, n: usize) -> Option<f64> {
        let window = tail(&self.typical, n)?;
        let middle = mean(window);
        let around = mean(&window.iter().map(|x| (x - middle).abs()).collect::<Vec<_>>());
        Some(if around > 1e-7 { (window[n - 1] - middle) / (0.015 * around) } else { 0.0 })
    }
}

fn vwap(history: &[Candle]) -> Option<f64> {
    let day = |candle: &Candle| candle.open_time_ns / Interval::D1.nanos();
    let today = history.last().map(day);
    let session: Vec<Candle> = history.iter().filter(|c| Some(day(c)) == today).cloned().collect();
    let columns = Columns::of(&session);
    let turnover: f64 = columns.typical.iter().zip(&columns.volume).map(|(price, volume)| price * volume).sum();
    let volume: f64 = columns.volume.iter().sum();
    (volume > 0.0).then(|| turnover / volume)
}

fn bands(middle: Option<f64>, width: Option<f64>) -> Vec<Option<f64>> {
    let both = middle.zip(width);
    vec![both.map(|b| b.0), both.map(|b| b.0 + b.1), both.map(|b| b.0 - b.1)]
}

fn macd(close: &[f64], [fast, slow, signal]: [usize; 3]) -> Vec<Option<f64>> {
    let of = |part: &[f64]| Some(ema(part, fast)? - ema(part, slow)?);
    let signal = ema(&series(close, of), signal);
    let line = of(close);
    vec![line, signal, line.zip(signal).map(|(line, signal)| line - signal)]
}

/// What the definition says at the last candle of `history`.
pub(super) fn naive(spec: &IndicatorSpec, history: &[Candle]) -> Vec<Option<f64>> {
    let columns = Columns::of(history);
    let (close, end) = (&columns.close, history.len());
    let [n, b, c, d] = [0, 1, 2, 3].map(|at| spec.period(at));
    let twice = |part: &[f64]| ema(&series(part, |part| ema(part, n)), n);
    let places = |n: usize| -> Vec<f64> {
        let of = |end: usize| Some(place(&columns.prices(end, n)?, close[end - 1], 0.0));
        (1..=end).filter_map(of).collect()
    };
    match spec.kind() {
        Kind::Sma => vec![sma(close, n)],
        Kind::Ema => vec![ema(close, n)],
        Kind::Wma => vec![wma(close, n)],
        Kind::Dema => vec![twice(close).map(|twice| 2.0 * ema(close, n).unwrap() - twice)],
        Kind::Tema => {
            let thrice = ema(&series(close, twice), n);
            vec![thrice.map(|thrice| 3.0 * ema(close, n).unwrap() - 3.0 * twice(close).unwrap() + thrice)]
        }
        Kind::Hma => {
            let raw = series(close, |part| Some(2.0 * wma(part, (n / 2).max(1))? - wma(part, n)?));
            vec![wma(&raw, n.isqrt())]
        }
        Kind::Kama => vec![columns.kama(n)],
        Kind::Vwap => vec![vwap(history)],
        Kind::Psar => vec![columns.parabolic(spec.number(0), spec.number(1))],
        Kind::Bollinger => bands(sma(close, n), tail(close, n).map(|w| spec.number(1) * deviation(w))),
        Kind::Keltner => bands(ema(close, n), wilder(&columns.range, b).map(|range| spec.number(2) * range)),
        Kind::Donchian => match columns.prices(end, n) {
            None => vec![None; 3],
            Some(prices) => {
                let (high, low) =
                    (prices.iter().copied().fold(f64::MIN, f64::max), prices.iter().copied().fold(f64::MAX, f64::min));
                vec![Some((high + low) / 2.0), Some(high), Some(low)]
            }
        },
        Kind::Rsi => vec![rsi(close, n)],
        Kind::Macd => macd(close, [n, b, c]),
        Kind::Stochastic => smoothed(&places(n), b, c),
        Kind::StochRsi => {
            let line = series(close, |part| rsi(part, n));
            smoothed(&series(&line, |part| Some(place(tail(part, b)?, part[part.len() - 1], 1e-9))), c, d)
        }
        Kind::WilliamsR => vec![places(n).last().map(|place| place - 100.0)],
        Kind::Cci => vec![columns.cci(n)],
        Kind::Momentum => vec![tail(close, n + 1).map(|w| w[n] - w[0])],
        Kind::Roc => vec![tail(close, n + 1).map(|w| (w[n] / w[0] - 1.0) * 100.0)],
        Kind::Adx => columns.directional(n),
        Kind::Aroon => columns.aroon(n),
        Kind::Atr => vec![wilder(&columns.range, n)],
        Kind::StdDev => vec![tail(close, n).map(deviation)],
        Kind::LinearSlope => vec![columns.slope(n)],
        Kind::Obv => {
            let step = |at: usize| {
                if close[at] > close[at - 1] {
                    1.0
                } else if close[at] < close[at - 1] {
                    -1.0
                } else {
                    0.0
                }
            };
            vec![Some((1..end).map(|at| step(at) * columns.volume[at]).sum())]
        }
        Kind::AccumulationDistribution => vec![Some((0..end).map(|at| columns.flow(at)).sum())],
        Kind::Cmf => vec![end.checked_sub(n).map(|start| {
            let volume: f64 = columns.volume[start..].iter().sum();
            if volume > 0.0 { (start..end).map(|at| columns.flow(at)).sum::<f64>() / volume } else { 0.0 }
        })],
        Kind::Mfi => vec![columns.mfi(n)],
    }
}
