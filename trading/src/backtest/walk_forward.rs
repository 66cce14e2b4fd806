//! Choosing parameters on the past of each window and trying them on what follows it.

use super::Candle;
use std::ops::Range;

/// One window: parameters were chosen on `train` and tried on `test`, which follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Candles of the choice.
    pub train: Range<usize>,
    /// Candles of the trial.
    pub test: Range<usize>,
    /// The chosen one, by number, and its score on `train`; `None` if no parameters had a score there.
    pub best: Option<(usize, f64)>,
    /// Its score on `test`.
    pub score: Option<f64>,
}

/// The score of each of the parameters on the candles, in order; one that is not finite counts as none.
///
/// # Errors
/// Whatever `score` gives.
pub fn sweep<P, E>(
    candles: &[Candle],
    parameters: &[P],
    mut score: impl FnMut(&P, &[Candle]) -> Result<Option<f64>, E>,
) -> Result<Vec<Option<f64>>, E> {
    let score = |one| Ok(score(one, candles)?.filter(|score| score.is_finite()));
    parameters.iter().map(score).collect()
}

/// Sweeps the parameters over `train` candles, tries the best on the next `test`, moves on by `test`, and so on while a
/// candle is left to try them on. Of equal scores the first wins. A high mean of the scores on `train` beside a low one on
/// `test` is what over-fitting looks like.
///
/// # Errors
/// Whatever `score` gives.
pub fn walk_forward<P, E>(
    candles: &[Candle],
    [train, test]: [usize; 2],
    parameters: &[P],
    mut score: impl FnMut(&P, &[Candle]) -> Result<Option<f64>, E>,
) -> Result<Vec<Step>, E> {
    let mut steps = Vec::new();
    let mut from = 0;
    while train > 0 && test > 0 && from + train < candles.len() {
        let (train, test) = (from..from + train, from + train..(from + train + test).min(candles.len()));
        let scores = sweep(&candles[train.clone()], parameters, &mut score)?;
        let scored = scores.into_iter().enumerate().filter_map(|(at, score)| Some((at, score?)));
        let best = scored.reduce(|best, other| if other.1 > best.1 { other } else { best });
        let on_test = match best {
            Some((at, _)) => score(&parameters[at], &candles[test.clone()])?.filter(|score| score.is_finite()),
            None => None,
        };
        from += test.len();
        steps.push(Step { train, test, best, score: on_test });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Decimal;

    fn candles(closes: &[i64]) -> Vec<Candle> {
        let candle = |(at, close): (u64, &i64)| {
            let price = Decimal::from_int(*close);
            Candle { open_time_ns: at, open: price, high: price, low: price, close: price, volume: Decimal::ONE }
        };
        (0..).zip(closes).map(candle).collect()
    }

    /// Parameter -1 bets on a fall, 1 on a rise, 0 has no score.
    fn bet(sign: &i32, candles: &[Candle]) -> Result<Option<f64>, String> {
        let ends = candles.first().zip(candles.last()).ok_or("no candles")?;
        let rise = ends.1.close.to_f64() - ends.0.close.to_f64();
        Ok((*sign != 0).then(|| f64::from(*sign) * rise))
    }

    #[test]
    fn the_best_of_each_window_is_tried_on_the_next_candles_only() {
        let candles = candles(&[1, 2, 3, 9, 7, 5, 4, 8]);
        let steps = walk_forward(&candles, [3, 2], &[0, -1, 1], bet).unwrap();
        let step = |train, test, best, score| Step { train, test, best: Some(best), score: Some(score) };
        let expected =
            [step(0..3, 3..5, (2, 2.0), -2.0), step(2..5, 5..7, (2, 4.0), -1.0), step(4..7, 7..8, (1, 3.0), -0.0)];
        assert_eq!(steps, expected);
    }

    #[test]
    fn without_scores_nothing_is_chosen_and_windows_of_nothing_are_no_windows() {
        let candles = candles(&[1, 2, 3, 4]);
        let steps = walk_forward(&candles, [2, 1], &[0], bet).unwrap();
        assert!(steps.len() == 2 && steps.iter().all(|step| step.best.is_none() && step.score.is_none()));
        assert_eq!(walk_forward(&candles, [4, 1], &[1], bet), Ok(Vec::new()));
        assert_eq!(walk_forward(&candles, [2, 0], &[1], bet), Ok(Vec::new()));
        assert_eq!(sweep(&candles, &[1, 2], |_, _| Ok::<_, String>(Some(f64::NAN))), Ok(vec![None, None]));
        assert!(sweep(&[], &[1], bet).is_err());
    }
}
