//! The table of decisions of a delivery.

use super::*;
use crate::notification::Notification;
use crate::preferences::QuietHours;
use bytes::Bytes;
use proto::{EventId, EventKind, UserId};

const SECOND: u64 = 1_000_000_000;
/// 2026-01-10T12:00:00Z.
const NOON: u64 = 1_768_046_400 * SECOND;
const REGISTERED: [ChannelKind; 2] = [ChannelKind::Webhook, ChannelKind::Email];

fn reachable() -> Preferences {
    Preferences {
        webhook_url: Some("https://example.org/".into()),
        email: Some("a@example.org".into()),
        ..Preferences::default()
    }
}

fn pending(attempts: u64) -> Pending {
    let notification = Notification {
        user_id: UserId::from_bits(1),
        number: 1,
        event_id: EventId::from_bits(2),
        position: None,
        kind: EventKind::Alert,
        created_at_ns: NOON,
        expires_at_ns: 0,
        recorded_at_ns: NOON,
        payload: Bytes::from_static(b"{}"),
    };
    Pending { notification, attempts }
}

fn step(now_ns: u64, preferences: &Preferences, change: impl FnOnce(&mut Facts<'_>, &mut Pending)) -> Step {
    let config = DeliveryConfig::default();
    let mut facts =
        Facts { now_ns, preferences, present: false, registered: &REGISTERED, closed: &[], config: &config };
    let mut pending = pending(0);
    change(&mut facts, &mut pending);
    next(&pending, &facts)
}

#[test]
fn channels_are_tried_in_the_users_order_as_far_as_they_are_there() {
    let all = reachable();
    assert_eq!(step(NOON, &all, |_, _| {}), Step::Try(vec![ChannelKind::Webhook, ChannelKind::Email]));
    let mail_first = Preferences { channels: vec![ChannelKind::Email, ChannelKind::Webhook], ..all.clone() };
    assert_eq!(step(NOON, &mail_first, |_, _| {}), Step::Try(vec![ChannelKind::Email, ChannelKind::Webhook]));
    let closed = step(NOON, &all, |facts, _| facts.closed = &[ChannelKind::Webhook]);
    assert_eq!(closed, Step::Try(vec![ChannelKind::Email]));
    let all_closed = step(NOON, &all, |facts, _| facts.closed = &REGISTERED);
    assert_eq!(all_closed, Step::Wait(NOON + 5 * SECOND));
    assert_eq!(step(NOON, &Preferences::default(), |_, _| {}), Step::Keep);
    let session_only = Preferences { channels: vec![ChannelKind::Session], ..all };
    assert_eq!(step(NOON, &session_only, |_, _| {}), Step::Keep);
}

#[test]
fn an_open_page_has_its_time_to_confirm_if_the_user_wants_it_first() {
    let all = reachable();
    assert_eq!(step(NOON + 1, &all, |facts, _| facts.present = true), Step::Wait(NOON + 10 * SECOND));
    let late = step(NOON + 10 * SECOND, &all, |facts, _| facts.present = true);
    assert!(matches!(late, Step::Try(_)), "{late:?}");
    let mail_first = Preferences { channels: vec![ChannelKind::Email, ChannelKind::Session], ..all };
    let step = step(NOON + 1, &mail_first, |facts, _| facts.present = true);
    assert_eq!(step, Step::Try(vec![ChannelKind::Email]));
}

#[test]
fn quiet_hours_wait_and_muted_kinds_are_only_listed() {
    let night = QuietHours { from: "11:00".into(), to: "13:00".into(), time_zone: "UTC".into(), except: Vec::new() };
    let quiet = Preferences { quiet_hours: Some(night.clone()), ..reachable() };
    assert_eq!(step(NOON, &quiet, |_, _| {}), Step::Wait(NOON + 3600 * SECOND));
    let except = Some(QuietHours { except: vec!["alert".into()], ..night });
    let urgent = Preferences { quiet_hours: except, ..reachable() };
    assert!(matches!(step(NOON, &urgent, |_, _| {}), Step::Try(_)));
    let muted = Preferences { muted: vec!["alert".into()], ..reachable() };
    assert_eq!(step(NOON, &muted, |_, _| {}), Step::Keep);
}

#[test]
fn what_expired_or_is_too_old_is_not_delivered() {
    let all = reachable();
    let expired = step(NOON, &all, |_, pending| pending.notification.expires_at_ns = NOON);
    assert_eq!(expired, Step::Expire);
    let days = 49 * 3600 * SECOND;
    assert_eq!(step(NOON + days, &all, |_, pending| pending.attempts = 1), Step::Die(DeathReason::Age));
    // A platform that was off for days still tries what it has.
    assert!(matches!(step(NOON + days, &all, |_, _| {}), Step::Try(_)));
}

#[test]
fn failures_wait_longer_each_time_up_to_a_limit_and_end_at_the_last() {
    let config = DeliveryConfig::default();
    let waits: Vec<u64> = [1, 2, 3, 8, 9, 100].map(|n| backoff_ns(&config, n) / SECOND).to_vec();
    assert_eq!(waits, [5, 10, 20, 640, 900, 900]);
    let preferences = reachable();
    let facts = Facts {
        now_ns: NOON,
        preferences: &preferences,
        present: false,
        registered: &REGISTERED,
        closed: &[],
        config: &config,
    };
    let later = |seconds: Option<u64>| Delivery::TryLater { after: seconds.map(Duration::from_secs) };
    let gone = Delivery::Gone;
    let cases = [
        (pending(0), vec![later(None), gone], 0, Untaken::Again(NOON + 5 * SECOND)),
        (pending(0), vec![later(Some(60)), later(None)], 0, Untaken::Again(NOON + 60 * SECOND)),
        (pending(0), vec![later(Some(1 << 40))], 0, Untaken::Again(NOON + 900 * SECOND)),
        (pending(0), vec![gone, gone], 0, Untaken::Keep),
        // One that was passed over may still take it.
        (pending(2), vec![gone], 1, Untaken::Again(NOON + 20 * SECOND)),
        (pending(19), vec![later(None)], 0, Untaken::Die(DeathReason::Attempts)),
    ];
    for (pending, answers, passed_over, expected) in cases {
        assert_eq!(untaken(&pending, &answers, passed_over, &facts), expected, "{answers:?}");
    }
}
