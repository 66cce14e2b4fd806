//! Scoring many parameters on several threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The score of each of the parameters, in order, worked out on so many threads; one that is not finite counts as none. The
/// threads end before this returns.
///
/// # Errors
/// The error of the first parameter, in order, that has one; what comes after it may not have been tried.
///
/// # Panics
/// If `score` does.
pub fn sweep_on<P: Sync, E: Send>(
    threads: NonZeroUsize,
    parameters: &[P],
    score: impl Fn(&P) -> Result<Option<f64>, E> + Sync,
) -> Result<Vec<Option<f64>>, E> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, one)) = take(&next, parameters) {
            let result = score(one);
            let failed = result.is_err();
            done.push((at, result));
            if failed {
                // All that is not begun stays so; what is before it has been begun.
                next.store(parameters.len(), Ordering::Relaxed);
            }
        }
        done
    };
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get().min(parameters.len())).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| Ok(result?.filter(|score| score.is_finite()))).collect()
}

fn take<'a, P>(next: &AtomicUsize, parameters: &'a [P]) -> Option<(usize, &'a P)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    parameters.get(at).map(|one| (at, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[test]
    fn scores_come_in_the_order_of_the_parameters() {
        let parameters: Vec<u32> = (0..1000).collect();
        let score = |one: &u32| Ok::<_, String>(Some(if *one == 7 { f64::NAN } else { f64::from(*one) }));
        let scores = sweep_on(THREADS, &parameters, score).unwrap();
        let expected: Vec<_> = parameters.iter().map(|one| (*one != 7).then(|| f64::from(*one))).collect();
        assert_eq!(scores, expected);
        assert_eq!(sweep_on(THREADS, &[], score), Ok(Vec::new()));
    }

    #[test]
    fn the_first_error_in_order_is_told() {
        let parameters: Vec<u32> = (0..100).collect();
        let score = |one: &u32| if *one % 10 == 9 { Err(*one) } else { Ok(None) };
        assert_eq!(sweep_on(THREADS, &parameters, score), Err(9));
    }
}
