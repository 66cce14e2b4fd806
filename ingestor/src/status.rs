//! Writes the feed status of each venue every second and at once when it changes; the last one says `leaving`.

use crate::log_writer::{Header, LogWriter, WriteError};
use proto::{EventType, LogTopic};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Publishes until stopped.
#[derive(Debug)]
pub(crate) struct StatusPublisher {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), WriteError>>,
}

impl StatusPublisher {
    /// Starts a task per board.
    pub(crate) fn start(writers: Vec<LogWriter>, every: Duration) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for writer in writers {
            tasks.spawn(publish(writer, every, stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Writes the last statuses. A log that takes nothing any more has been reported by whoever wrote before.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "feed status could not be written"),
                Err(error) => tracing::error!(%error, "feed status task broke off"),
            }
        }
    }

    /// Waits for a publisher that failed; for ever if none does.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(crate) async fn failed(&mut self) -> WriteError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

async fn publish(writer: LogWriter, every: Duration, stop: CancellationToken) -> Result<(), WriteError> {
    let mut timer = tokio::time::interval(every);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = writer.board().changed() => {}
            () = stop.cancelled() => return write(&writer, true).await,
        }
        write(&writer, false).await?;
    }
}

async fn write(writer: &LogWriter, leaving: bool) -> Result<(), WriteError> {
    let status = writer.board().status(writer.now_ns(), leaving);
    let key = format!("{}/{}", status.venue, status.ingestor_id);
    let header = Header {
        event_type: EventType::FeedStatus,
        venue: writer.board().venue(),
        key: &key,
        observed_at_ns: status.sent_at_ns,
        raw: None,
    };
    writer.append(LogTopic::EvtFeed, vec![writer.record(header, &status)]).await.map(drop)
}
