//! Coalescing, memory of answers and refusals, and time limits of history requests.

use super::*;
use proto::Interval;

const MINUTE: u64 = Interval::M1.nanos();

fn range(from: u64, to: u64) -> HistoryRange {
    HistoryRange {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        interval: Some(Interval::M1),
        from_ns: from * MINUTE,
        to_ns: to * MINUTE,
    }
}

fn id(n: u128) -> RequestId {
    RequestId::from_bits(n)
}

fn book() -> Book {
    Book::new(HistoryConfig { in_flight: 3, ..HistoryConfig::default() })
}

fn submit(book: &mut Book, from: u64, to: u64, n: u128) -> watch::Receiver<Outcome> {
    match book.ask(&range(from, to), id(n), Instant::now()) {
        Decision::Submit(got, receiver) if got == id(n) => receiver,
        other => panic!("{other:?}"),
    }
}

fn is_refused(book: &mut Book, from: u64, to: u64) -> bool {
    matches!(book.ask(&range(from, to), id(99), Instant::now()), Decision::Refused(_))
}

fn ack(n: u128, status: AckStatus) -> RequestAck {
    RequestAck { request_id: id(n).to_string(), status: status as i32, retry_after_ms: 500, ..Default::default() }
}

fn note(n: u128, status: HistoryStatus) -> HistoryReadyNotification {
    HistoryReadyNotification { request_id: id(n).to_string(), status: status as i32, ..Default::default() }
}

fn series() -> SeriesKey {
    series_of(&range(0, 1)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_contained_wish_joins_the_request_in_flight_and_hears_of_its_end() {
    let mut book = book();
    let first = submit(&mut book, 0, 10, 1);
    let Decision::Join(second) = book.ask(&range(2, 5), id(2), Instant::now()) else { panic!("not joined") };
    assert!(matches!(book.ask(&range(5, 11), id(3), Instant::now()), Decision::Submit(..)), "reaches beyond it");
    assert_eq!(book.on_ack(&ack(1, AckStatus::Queued), Instant::now()), (Step::None, None));
    let ended = book.on_ready(&note(1, HistoryStatus::Ok), Instant::now());
    assert_eq!(ended, (Step::Over(id(1)), Some(HistoryResult::Ok)));
    assert_eq!((*first.borrow(), *second.borrow()), (Outcome::Done, Outcome::Done));
    assert!(book.complete(&series()).contains(0, 10 * MINUTE));
    assert_eq!(book.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_remembered_for_a_while() {
    type End = fn(&mut Book) -> (Step, Option<HistoryResult>);
    let cases: [(End, HistoryResult); 4] = [
        (|book| book.on_ack(&ack(1, AckStatus::Invalid), Instant::now()), HistoryResult::Invalid),
        (|book| book.on_ack(&ack(1, AckStatus::Unspecified), Instant::now()), HistoryResult::Invalid),
        (|book| book.on_ready(&note(1, HistoryStatus::Failed), Instant::now()), HistoryResult::Failed),
        (|book| book.on_ready(&note(1, HistoryStatus::Unspecified), Instant::now()), HistoryResult::Failed),
    ];
    for (end, result) in cases {
        let mut book = book();
        let outcome = submit(&mut book, 0, 10, 1);
        assert_eq!(end(&mut book), (Step::Over(id(1)), Some(result)));
        assert!(matches!(*outcome.borrow(), Outcome::Refused(_)));
        assert!(is_refused(&mut book, 2, 5));
        assert!(!is_refused(&mut book, 5, 12), "another range may be had");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!is_refused(&mut book, 2, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_venue_without_ingestor_is_asked_again_soon() {
    let mut book = book();
    submit(&mut book, 0, 10, 1);
    let ended = book.on_ack(&ack(1, AckStatus::NoIngestor), Instant::now());
    assert_eq!(ended, (Step::Over(id(1)), Some(HistoryResult::NoIngestor)));
    assert!(is_refused(&mut book, 50, 60), "no range of the venue");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(!is_refused(&mut book, 50, 60));
}

#[tokio::test(start_paused = true)]
async fn a_partial_answer_is_read_and_not_asked_for_again() {
    let mut book = book();
    let outcome = submit(&mut book, 0, 10, 1);
    book.on_ready(&note(1, HistoryStatus::Partial), Instant::now());
    assert!(matches!(*outcome.borrow(), Outcome::Partial(_)));
    assert!(is_refused(&mut book, 0, 10));
    assert!(!book.complete(&series()).contains(0, MINUTE));
}

#[tokio::test(start_paused = true)]
async fn over_quota_is_tried_again_when_the_relay_says_and_given_up_in_the_end() {
    let mut book = book();
    let outcome = submit(&mut book, 0, 10, 1);
    for _ in 0..3 {
        let over = book.on_ack(&ack(1, AckStatus::OverQuota), Instant::now());
        assert_eq!(over, (Step::None, Some(HistoryResult::OverQuota)));
        assert_eq!(book.expire(Instant::now()), []);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(book.expire(Instant::now()), [(Step::Resubmit(id(1), range(0, 10)), None)]);
        assert_eq!(book.expire(Instant::now()), []);
    }
    assert_eq!(*outcome.borrow(), Outcome::Open);
    let over = book.on_ack(&ack(1, AckStatus::OverQuota), Instant::now());
    assert_eq!(over, (Step::Over(id(1)), Some(HistoryResult::OverQuota)));
    assert!(matches!(*outcome.borrow(), Outcome::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn silence_of_the_relay_and_of_the_stream_end_the_request() {
    let mut book = book();
    submit(&mut book, 0, 10, 1);
    submit(&mut book, 20, 30, 2);
    book.on_ack(&ack(2, AckStatus::Queued), Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(book.expire(Instant::now()), [(Step::Over(id(1)), Some(HistoryResult::AckTimeout))]);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(book.expire(Instant::now()), [(Step::Over(id(2)), Some(HistoryResult::ReadyTimeout))]);
    assert_eq!(book.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_bounded_and_strangers_change_nothing() {
    let mut book = book();
    for n in 0..3 {
        submit(&mut book, n * 100, n * 100 + 1, u128::from(n));
    }
    assert!(is_refused(&mut book, 900, 901));
    assert_eq!(book.on_ack(&ack(77, AckStatus::Queued), Instant::now()), (Step::None, None));
    assert_eq!(book.on_ready(&note(77, HistoryStatus::Ok), Instant::now()), (Step::None, None));
    assert_eq!(book.on_ready(&HistoryReadyNotification::default(), Instant::now()), (Step::None, None));
    assert_eq!(book.in_flight(), 3);
}
