//! Progress of long work: told when it changes, at most twice a second, and at least every two seconds.

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// How often the client is told.
const EVERY: Duration = Duration::from_millis(500);
/// Without anything new, it is told this often that the work goes on.
const SILENCE: u32 = 3;

/// How far the work is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stage {
    pub(crate) done: f64,
    pub(crate) total: Option<f64>,
    pub(crate) text: String,
}

/// Where the work says how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Progress(watch::Sender<Stage>);

impl Progress {
    /// Progress of a call, and what tells its caller.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> (Self, Reporter) {
        let (sender, stages) = watch::channel(Stage::default());
        let caller = context.meta.get_progress_token().map(|token| (token, context.peer.clone()));
        (Self(sender), Reporter { stages, caller })
    }

    /// Says how far it is.
    pub(crate) fn set(&self, done: f64, total: Option<f64>, text: impl Into<String>) {
        self.0.send_replace(Stage { done, total, text: text.into() });
    }

    /// Progress that nobody waits for.
    pub(crate) fn unheard() -> Self {
        Self(watch::Sender::new(Stage::default()))
    }
}

/// Tells the caller.
#[derive(Debug)]
pub(crate) struct Reporter {
    stages: watch::Receiver<Stage>,
    caller: Option<(ProgressToken, Peer<RoleServer>)>,
}

impl Reporter {
    /// Runs the work and reports beside it; `None` if it was cancelled, which drops the work.
    pub(crate) async fn beside<T>(self, work: impl Future<Output = T>, cancel: &CancellationToken) -> Option<T> {
        let mut work = pin!(work);
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut silent, mut last) = (Stage::default(), 0, 0.0_f64);
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => return Some(done),
                () = cancel.cancelled() => return None,
                _ = ticks.tick() => {}
            }
            let stage = self.stages.borrow().clone();
            silent += 1;
            if stage == told && silent < SILENCE {
                continue;
            }
            // The specification wants it to grow each time.
            last = if stage.done > last { stage.done } else { last + 1e-6 };
            silent = 0;
            told = stage;
            if let Some((token, peer)) = &self.caller {
                let mut report = ProgressNotificationParam::new(token.clone(), last);
                report.total = told.total;
                report.message = (!told.text.is_empty()).then(|| told.text.clone());
                // A caller that cannot be told has gone, or goes soon; the token says so.
                let _gone = peer.notify_progress(report).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cancelling_drops_the_work() {
        struct Dropped(CancellationToken);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.cancel();
            }
        }
        let (cancel, dropped) = (CancellationToken::new(), CancellationToken::new());
        let (_sender, stages) = watch::channel(Stage::default());
        let reporter = Reporter { stages, caller: None };
        let work = Dropped(dropped.clone());
        let run = reporter.beside(
            async move {
                let _work = work;
                std::future::pending::<()>().await;
            },
            &cancel,
        );
        let stop = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            cancel.cancel();
        };
        assert_eq!(tokio::join!(run, stop).0, None);
        assert!(dropped.is_cancelled());
    }

    #[tokio::test]
    async fn work_that_ends_at_once_is_done_even_if_it_is_cancelled_too() {
        let (_sender, stages) = watch::channel(Stage::default());
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert_eq!(Reporter { stages, caller: None }.beside(async { 7 }, &cancel).await, Some(7));
    }
}
