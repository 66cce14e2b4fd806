//! The truth table of sleep, its properties, and the supervisor on a paused clock.

use super::*;
use crate::tier::Tier;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);

fn facts(idle: Duration) -> Facts {
    let last_activity = Duration::from_secs(1000);
    Facts { now: last_activity + idle, last_activity, busy: BusyCounts::default(), idle_timeout: Some(QUARTER) }
}

#[test]
fn a_container_sleeps_exactly_when_its_idle_time_is_over_and_nothing_holds() {
    let until = Duration::from_secs(1000) + QUARTER;
    let cases = [
        ("just used", facts(Duration::ZERO), Decision::Wait { until }),
        ("a second too early", facts(QUARTER - Duration::from_secs(1)), Decision::Wait { until }),
        ("a nanosecond too early", facts(QUARTER - Duration::from_nanos(1)), Decision::Wait { until }),
        ("at the time", facts(QUARTER), Decision::Sleep),
        ("long after", facts(QUARTER * 100), Decision::Sleep),
        ("never", Facts { idle_timeout: None, ..facts(QUARTER * 100) }, Decision::Never),
        (
            "another tier",
            Facts { idle_timeout: Tier::Pro.idle_timeout(), ..facts(QUARTER) },
            Decision::Wait { until: Duration::from_secs(1000) + 60 * MINUTE },
        ),
    ];
    for (name, facts, expected) in cases {
        assert_eq!(decide(&facts), expected, "{name}");
    }
}

#[test]
fn each_reason_alone_forbids_sleep_and_the_first_is_named() {
    for reason in BusyReason::ALL {
        let mut facts = facts(QUARTER * 2);
        facts.busy.set(reason, 1);
        assert_eq!(decide(&facts), Decision::Busy(reason));
        facts.busy.set(BusyReason::UnackedEvents, 2);
        assert_eq!(decide(&facts), Decision::Busy(BusyReason::UnackedEvents));
    }
}

#[test]
fn tiers_have_the_times_of_the_design() {
    let minutes = |tier: Tier| tier.idle_timeout().map(|timeout| timeout.as_secs() / 60);
    let tiers = [Tier::Anonymous, Tier::Free, Tier::Pro, Tier::Enterprise];
    assert_eq!(tiers.map(minutes), [Some(15), Some(15), Some(60), None]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Touch,
    Begin(usize),
    End(usize),
    Unacked(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Touch),
        (1..BusyReason::ALL.len()).prop_map(Step::Begin),
        (0..8usize).prop_map(Step::End),
        (0..3u64).prop_map(Step::Unacked),
        (0..2000u64).prop_map(Step::Pass),
    ]
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

proptest! {
    /// Whatever happens in whatever order: the gate never closes while something holds or before the idle time is over,
    /// and when everything has ended it closes after exactly the idle time.
    #[test]
    fn it_never_sleeps_while_busy_and_always_sleeps_when_idle(steps in proptest::collection::vec(step(), 0..40)) {
        paused(async move {
            let activity = Activity::new(Some(QUARTER));
            let (mut guards, mut unacked, mut quiet_since) = (Vec::new(), 0, tokio::time::Instant::now());
            for step in steps {
                match step {
                    Step::Touch => activity.touch().unwrap(),
                    Step::Begin(reason) => guards.push(activity.begin(BusyReason::ALL[reason]).unwrap()),
                    Step::End(which) if which < guards.len() => drop(guards.swap_remove(which)),
                    Step::End(_) => {}
                    Step::Unacked(count) => unacked = count,
                    Step::Pass(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
                }
                if !matches!(step, Step::Pass(_) | Step::Unacked(_) | Step::End(_)) {
                    quiet_since = tokio::time::Instant::now();
                }
                let closed = activity.close_if_idle(unacked);
                prop_assert!(!closed || (guards.is_empty() && unacked == 0), "slept while busy");
                prop_assert!(!closed || quiet_since.elapsed() >= QUARTER, "slept too early");
                if closed {
                    prop_assert_eq!(activity.touch(), Err(Asleep));
                    prop_assert!(activity.begin(BusyReason::Request).is_err());
                    activity.reopen();
                    quiet_since = tokio::time::Instant::now();
                }
            }
            guards.clear();
            activity.touch().unwrap();
            tokio::time::advance(QUARTER - Duration::from_nanos(1)).await;
            prop_assert!(!activity.close_if_idle(0), "slept too early");
            tokio::time::advance(Duration::from_nanos(1)).await;
            prop_assert!(activity.close_if_idle(0), "did not sleep when idle");
            Ok(())
        })?;
    }
}

/// An activity with its supervisor, and how many events are not acked.
fn supervised(timeout: Option<Duration>) -> (Activity, watch::Sender<u64>, Supervisor) {
    let activity = Activity::new(timeout);
    let (unacked, watched) = watch::channel(0);
    let supervisor = Supervisor::new(activity.clone(), watched);
    (activity, unacked, supervisor)
}

/// How long the supervisor took to say that the container sleeps.
async fn slept_after(supervisor: &mut Supervisor) -> Duration {
    let start = tokio::time::Instant::now();
    assert_eq!(supervisor.ending(&CancellationToken::new()).await, Ending::Sleep);
    start.elapsed()
}

fn about(time: Duration, expected: Duration) -> bool {
    time >= expected && time < expected + Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn a_call_just_before_the_end_postpones_it_by_the_whole_time() {
    let (activity, _unacked, mut supervisor) = supervised(Some(QUARTER));
    let caller = activity.clone();
    let call = async move {
        tokio::time::advance(QUARTER - Duration::from_secs(1)).await;
        caller.touch().unwrap();
    };
    let (slept, ()) = tokio::join!(slept_after(&mut supervisor), call);
    assert!(about(slept, QUARTER * 2 - Duration::from_secs(1)), "{slept:?}");
    assert_eq!(activity.touch(), Err(Asleep));
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_begins_when_the_last_work_ends() {
    let (activity, unacked, mut supervisor) = supervised(Some(QUARTER));
    let work = async move {
        let job = activity.begin(BusyReason::RunningJob).unwrap();
        unacked.send_replace(1);
        tokio::time::advance(QUARTER * 3).await;
        drop(job);
        tokio::time::advance(QUARTER * 3).await;
        unacked.send_replace(0);
        unacked
    };
    let (slept, _unacked) = tokio::join!(slept_after(&mut supervisor), work);
    assert!(about(slept, QUARTER * 7), "{slept:?}");
}

#[tokio::test(start_paused = true)]
async fn an_enterprise_container_ends_by_sigterm_only() {
    let (_activity, _unacked, mut supervisor) = supervised(Tier::Enterprise.idle_timeout());
    let stop = CancellationToken::new();
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(tokio::time::timeout(year, supervisor.ending(&stop)).await.is_err());
    stop.cancel();
    assert_eq!(supervisor.ending(&stop).await, Ending::Terminated);
}

#[tokio::test(start_paused = true)]
async fn sigterm_ends_it_while_busy() {
    let (activity, _unacked, mut supervisor) = supervised(Some(QUARTER));
    let _job = activity.begin(BusyReason::RunningJob).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(supervisor.ending(&stop).await, Ending::Terminated);
}
