//! The loop over one worker: what it says, what it prints, what it uses, and when that is enough.

use super::capture::Capture;
use super::channel::{Frame, FrameError, Frames};
use super::outcome::{Ended, Outcome, Progress, Sealed};
use super::process::{self, Process, Reaped};
use super::scratch;
use super::{Follow, Job, WorkerError};
use bytes::{Buf, Bytes};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How often memory, processor time and threads are looked at. The corpus got 5 to 13 MiB over the limit in it.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The scratch directory is walked once in so many looks.
const LOOKS_PER_WALK: u32 = 5;
/// For the kernel to end a killed process, and for its pipes to run empty.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// Follows `process` to its end.
pub(super) async fn supervise(process: Process, job: &Job, follow: Follow) -> Result<Outcome, WorkerError> {
    let Follow { cancel, progress } = follow;
    let mut run = Run::new(process, job, progress);
    let ended = run.watch(&cancel).await;
    run.finish(ended).await
}

/// One worker and what came out of it so far.
struct Run<'a> {
    process: Process,
    job: &'a Job,
    progress: Option<watch::Sender<Progress>>,
    /// Stays open to the end: to the worker its closing is the end of the server.
    writer: OwnedWriteHalf,
    unsent: Bytes,
    frames: Frames,
    stdout: Capture,
    stderr: Capture,
    usage: Usage,
    reaped: Option<Reaped>,
    sealed: Option<Sealed>,
    result: Option<Value>,
    pictures: Vec<Vec<u8>>,
}

impl<'a> Run<'a> {
    fn new(mut process: Process, job: &'a Job, progress: Option<watch::Sender<Progress>>) -> Self {
        let control = process.control.take().expect("a process starts with its channel");
        let (reader, writer) = control.into_split();
        Self {
            writer,
            unsent: std::mem::take(&mut process.job).into(),
            frames: Frames::new(reader, job.limits),
            stdout: Capture::new(process.stdout.take(), job.limits.output_bytes),
            stderr: Capture::new(process.stderr.take(), job.limits.output_bytes),
            usage: Usage::new(&process, job),
            process,
            job,
            progress,
            reaped: None,
            sealed: None,
            result: None,
            pictures: Vec::new(),
        }
    }

    /// Until the worker answers, ends, or has to be ended. `None`: it ended by itself.
    async fn watch(&mut self, cancel: &CancellationToken) -> Option<Ended> {
        let deadline = self.process.started_at + self.job.limits.wall;
        loop {
            // What ends a run comes first: a worker that floods its pipes must not keep it from us.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Some(Ended::Cancelled),
                () = sleep_until(deadline) => return Some(Ended::TimedOut),
                over = self.usage.over() => return Some(over),
                reaped = &mut self.process.reaped => {
                    self.reaped = Some(reaped.unwrap_or_default());
                    return None;
                }
                frame = self.frames.next() => {
                    if let Some(ended) = self.hear_all(frame) {
                        return Some(ended);
                    }
                }
                sent = self.writer.write(&self.unsent), if !self.unsent.is_empty() => {
                    // A worker that is gone hears nothing more; that it is gone is seen above.
                    self.unsent.advance(sent.unwrap_or(self.unsent.len()));
                }
                () = self.stdout.fill() => {}
                () = self.stderr.fill() => {}
            }
            if self.stdout.total + self.stderr.total > self.job.limits.output_bytes_max {
                return Some(Ended::OutputFull);
            }
        }
    }

    /// Takes in a frame and those that were read with it.
    fn hear_all(&mut self, first: Result<Option<Frame>, FrameError>) -> Option<Ended> {
        let mut frame = first;
        loop {
            let over = !matches!(frame, Ok(Some(_)));
            let ended = self.hear(frame);
            if over || ended.is_some() {
                return ended;
            }
            frame = self.frames.decode();
        }
    }

    /// Takes in a frame; answers how the run ended if the frame says so.
    fn hear(&mut self, frame: Result<Option<Frame>, FrameError>) -> Option<Ended> {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return None,
            Err(FrameError::TooLong { .. }) => return Some(Ended::OutputFull),
            Err(FrameError::Kind(_) | FrameError::Cut) => return Some(Ended::BadReply),
        };
        if self.sealed.is_none() {
            // Nothing but this may come first; without it no user code ran.
            let Frame::Sealed(text) = frame else { return Some(Ended::BadReply) };
            self.sealed = serde_json::from_slice(&text).ok();
            return self.sealed.is_none().then_some(Ended::BadReply);
        }
        match frame {
            Frame::Sealed(_) => Some(Ended::BadReply),
            Frame::Progress(text) => self.report(&text),
            Frame::Picture(png) => self.keep_picture(&png),
            Frame::Result(text) => match serde_json::from_slice(&text) {
                Ok(result) => {
                    self.result = Some(result).filter(|result: &Value| !result.is_null());
                    Some(Ended::Finished)
                }
                Err(_) => Some(Ended::BadReply),
            },
            Frame::Raised(text) => Some(Ended::Raised { traceback: String::from_utf8_lossy(&text).into_owned() }),
            Frame::OutOfMemory => Some(Ended::OutOfMemory),
        }
    }

    fn report(&self, text: &Bytes) -> Option<Ended> {
        let Ok(progress) = serde_json::from_slice(text) else { return Some(Ended::BadReply) };
        if let Some(follower) = &self.progress {
            follower.send_replace(progress);
        }
        None
    }

    fn keep_picture(&mut self, png: &Bytes) -> Option<Ended> {
        if self.pictures.len() == self.job.limits.pictures {
            return Some(Ended::OutputFull);
        }
        self.pictures.push(png.to_vec());
        None
    }

    /// Ends the process if it still runs, takes what is left in its pipes, and says how it went.
    async fn finish(mut self, ended: Option<Ended>) -> Result<Outcome, WorkerError> {
        let wall = self.process.started_at.elapsed();
        if self.reaped.is_none() {
            self.usage.look();
        }
        self.process.kill();
        let reaped = match self.reaped {
            Some(reaped) => reaped,
            // A process that the kernel does not end in time keeps its slot; the caller need not wait for it.
            None => timeout(AFTER_KILL, &mut self.process.reaped).await.ok().and_then(Result::ok).unwrap_or_default(),
        };
        let heard = timeout(AFTER_KILL, self.drain()).await.ok().flatten();
        let ended = ended.or(heard).unwrap_or_else(|| self.judge(reaped));
        if self.sealed.is_none() && !matches!(ended, Ended::Cancelled | Ended::TimedOut) {
            return Err(WorkerError::NotSealed { reason: self.stderr.text() });
        }
        Ok(Outcome {
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            stdout_bytes: self.stdout.total,
            stderr_bytes: self.stderr.total,
            truncated: self.stdout.truncated() || self.stderr.truncated(),
            result: self.result,
            pictures: self.pictures,
            wall,
            cpu: reaped.cpu.max(self.usage.cpu),
            peak_rss: self.usage.peak_rss,
            ended,
            sealed: self.sealed,
        })
    }

    /// Reads the pipes of a process that has ended; the first final frame that was still in them.
    async fn drain(&mut self) -> Option<Ended> {
        let mut ended = None;
        while !(self.stdout.ended() && self.stderr.ended() && (self.frames.ended() || ended.is_some())) {
            tokio::select! {
                frame = self.frames.next(), if ended.is_none() => ended = self.hear_all(frame),
                () = self.stdout.fill() => {}
                () = self.stderr.fill() => {}
            }
        }
        ended
    }

    /// Why a process ended that nobody here ended and that gave no answer.
    fn judge(&self, reaped: Reaped) -> Ended {
        // Native code that gets no memory crashes or aborts; Python may fail to report its own MemoryError.
        if self.usage.peak_rss >= self.job.limits.memory_bytes / 10 * 9 {
            return Ended::OutOfMemory;
        }
        match reaped.signal {
            Some(signal) if signal == Signal::XCPU.as_raw() => Ended::CpuExceeded,
            Some(signal) if signal == Signal::KILL.as_raw() && reaped.cpu >= self.job.limits.cpu => Ended::CpuExceeded,
            Some(signal) => Ended::Killed(signal),
            None => Ended::BadReply,
        }
    }
}

/// What a process uses, looked at again and again.
struct Usage {
    pid: Pid,
    scratch: PathBuf,
    limits: super::WorkerLimits,
    tick: Interval,
    looks: u32,
    walk: Option<JoinHandle<bool>>,
    cpu: Duration,
    peak_rss: u64,
}

impl Usage {
    fn new(process: &Process, job: &Job) -> Self {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pid: process.pid,
            scratch: process.scratch.clone(),
            limits: job.limits,
            tick,
            looks: 0,
            walk: None,
            cpu: Duration::ZERO,
            peak_rss: 0,
        }
    }

    /// Returns when a limit is passed.
    ///
    /// # Cancel safety
    /// A walk that was begun goes on.
    async fn over(&mut self) -> Ended {
        loop {
            self.tick.tick().await;
            if let Some(over) = self.look() {
                return over;
            }
            self.looks += 1;
            if self.walk.as_ref().is_some_and(JoinHandle::is_finished)
                && let Some(walk) = self.walk.take()
                && walk.await.unwrap_or(false)
            {
                return Ended::ScratchFull;
            }
            if self.walk.is_none() && self.looks >= LOOKS_PER_WALK {
                self.looks = 0;
                let (path, pid, limits) = (self.scratch.clone(), self.pid, self.limits);
                let walk = move || scratch::is_over(&path, pid, limits.scratch_bytes, limits.scratch_files);
                self.walk = Some(tokio::task::spawn_blocking(walk));
            }
        }
    }

    fn look(&mut self) -> Option<Ended> {
        let (now, peak) = process::memory(self.pid)?;
        self.peak_rss = self.peak_rss.max(peak);
        let times = process::times(self.pid)?;
        self.cpu = self.cpu.max(times.cpu);
        if now > self.limits.memory_bytes {
            return Some(Ended::OutOfMemory);
        }
        if times.cpu >= self.limits.cpu {
            return Some(Ended::CpuExceeded);
        }
        (times.threads > self.limits.threads).then_some(Ended::TooManyThreads)
    }
}
