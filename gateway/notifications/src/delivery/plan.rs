//! What to do next with a pending notification: facts in, a step out. Pure.

use crate::config::DeliveryConfig;
use crate::delivery::Delivery;
use crate::metrics::DeathReason;
use crate::preferences::{ChannelKind, Preferences};
use crate::store::Pending;
use std::time::Duration;

/// What is known when a notification is looked at.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) now_ns: u64,
    pub(super) preferences: &'a Preferences,
    /// A page of the user is open somewhere.
    pub(super) present: bool,
    /// Channels that are registered.
    pub(super) registered: &'a [ChannelKind],
    /// Channels that failed for an earlier notification in this run.
    pub(super) closed: &'a [ChannelKind],
    pub(super) config: &'a DeliveryConfig,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody needs it any more.
    Expire,
    /// Give it up.
    Die(DeathReason),
    /// It stays in the list.
    Keep,
    /// Look again then; this is no failure.
    Wait(u64),
    /// Try these channels in order.
    Try(Vec<ChannelKind>),
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether there is anything to push to, as far as the preferences tell.
fn can_push(kind: ChannelKind, facts: &Facts<'_>) -> bool {
    let addressed = match kind {
        ChannelKind::Session => false,
        ChannelKind::Telegram => true,
        ChannelKind::Webhook => facts.preferences.webhook_url.is_some(),
        ChannelKind::Email => facts.preferences.email.is_some(),
    };
    addressed && facts.registered.contains(&kind)
}

/// The wait after so many failures.
pub(super) fn backoff_ns(config: &DeliveryConfig, attempts: u64) -> u64 {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(30);
    nanoseconds(config.backoff_min.saturating_mul(1 << doublings).min(config.backoff_max))
}

/// What to do with a notification.
pub(super) fn next(pending: &Pending, facts: &Facts<'_>) -> Step {
    let (notification, now_ns) = (&pending.notification, facts.now_ns);
    if notification.expires_at_ns != 0 && notification.expires_at_ns <= now_ns {
        return Step::Expire;
    }
    let age_ns = now_ns.saturating_sub(notification.recorded_at_ns);
    if pending.attempts > 0 && age_ns >= nanoseconds(facts.config.give_up_after) {
        return Step::Die(DeathReason::Age);
    }
    if facts.preferences.mutes(notification.kind) {
        return Step::Keep;
    }
    let quiet = facts.preferences.quiet_hours.as_ref().filter(|quiet| !quiet.excepts(notification.kind));
    if let Some(end_ns) = quiet.and_then(|quiet| quiet.end_ns(now_ns)) {
        return Step::Wait(end_ns);
    }
    let wanted = &facts.preferences.channels;
    // An open page has it already. If the user wants it there first, it has some time to confirm.
    let patience_ns = notification.recorded_at_ns.saturating_add(nanoseconds(facts.config.session_wait));
    if wanted.first() == Some(&ChannelKind::Session) && facts.present && now_ns < patience_ns {
        return Step::Wait(patience_ns);
    }
    let pushed: Vec<ChannelKind> = wanted.iter().copied().filter(|kind| can_push(*kind, facts)).collect();
    if pushed.is_empty() {
        return Step::Keep;
    }
    let open: Vec<ChannelKind> = pushed.into_iter().filter(|kind| !facts.closed.contains(kind)).collect();
    if open.is_empty() {
        return Step::Wait(now_ns.saturating_add(backoff_ns(facts.config, pending.attempts + 1)));
    }
    Step::Try(open)
}

/// What follows when no channel took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untaken {
    /// No channel can reach the user: it stays in the list.
    Keep,
    /// Try again then.
    Again(u64),
    /// Give it up.
    Die(DeathReason),
}

/// What follows from the answers of the channels that were tried, none of which took it. `closed_ns` is when the channels
/// that were passed over may be tried again.
pub(super) fn untaken(pending: &Pending, answers: &[Delivery], passed_over: usize, facts: &Facts<'_>) -> Untaken {
    let mut after_ns = 0;
    let mut later = false;
    for answer in answers {
        if let Delivery::TryLater { after } = answer {
            later = true;
            after_ns = after.map_or(0, nanoseconds).max(after_ns);
        }
    }
    if !later && passed_over == 0 {
        return Untaken::Keep;
    }
    let attempts = pending.attempts + 1;
    if attempts >= facts.config.attempts.get() {
        return Untaken::Die(DeathReason::Attempts);
    }
    // What the other side asks for counts, up to our own longest wait: it must not park a notification for ever.
    let wait_ns = backoff_ns(facts.config, attempts).max(after_ns.min(nanoseconds(facts.config.backoff_max)));
    Untaken::Again(facts.now_ns.saturating_add(wait_ns))
}

#[cfg(test)]
mod tests;
