//! Whether decisions used the future: they are made again without it and must stay the same.

use super::Candle;

/// What was decided at a candle; what it is made of is up to the caller, as long as equal decisions are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<T> {
    /// Number of the candle after which it was decided, from 0.
    pub candle: usize,
    /// What.
    pub what: T,
}

/// A decision that changes when the candles after it are taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAhead<T> {
    /// The candle at which the decisions differ first.
    pub candle: usize,
    /// How many candles were left when it was made again.
    pub candles: usize,
    /// With all candles.
    pub with_future: Option<T>,
    /// With the candles up to `candles`.
    pub without: Option<T>,
}

/// Makes the decisions on all candles and again on the first `n` of them, for each `n` of `cuts`; names the first one that
/// differs. Decisions must come in the order of their candles.
///
/// A strategy that looks `k` candles ahead is caught by a cut within `k` candles after a decision that this changed, so use many
/// cuts. What cannot be found this way: a parameter that was chosen by looking at the same data.
///
/// # Errors
/// Whatever `decide` gives.
pub fn look_ahead<T: PartialEq, E>(
    candles: &[Candle],
    cuts: impl IntoIterator<Item = usize>,
    mut decide: impl FnMut(&[Candle]) -> Result<Vec<Decision<T>>, E>,
) -> Result<Option<LookAhead<T>>, E> {
    let mut all = decide(candles)?;
    for cut in cuts.into_iter().filter(|cut| *cut < candles.len()) {
        let mut without = decide(&candles[..cut])?;
        let before = all.partition_point(|decision| decision.candle < cut);
        let same = all[..before].iter().zip(&without).take_while(|(with, without)| with == without).count();
        if same < before || same < without.len() {
            let take = |from: &mut Vec<Decision<T>>, end: usize| (same < end).then(|| from.swap_remove(same));
            let end = without.len();
            let (with, without) = (take(&mut all, before), take(&mut without, end));
            let candle = |decision: &Option<Decision<T>>| decision.as_ref().map(|decision| decision.candle);
            let candle = candle(&with).into_iter().chain(candle(&without)).min().unwrap_or(cut);
            let what = |decision: Option<Decision<T>>| decision.filter(|d| d.candle == candle).map(|d| d.what);
            return Ok(Some(LookAhead { candle, candles: cut, with_future: what(with), without: what(without) }));
        }
    }
    Ok(None)
}
