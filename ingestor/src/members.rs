//! Who serves a venue right now: the leases that ingestors renew with each feed status.

use proto::wire;
use std::collections::BTreeMap;
use std::time::Duration;

/// The ingestors of one venue.
#[derive(Debug)]
pub(crate) struct Members {
    me: String,
    lease: Duration,
    /// When the lease of each other member ends, by our clock.
    others: BTreeMap<String, u64>,
}

/// Most members that are remembered; further ones are ignored, so that a broken writer cannot fill the memory.
const MEMBERS_MAX: usize = 256;

impl Members {
    pub(crate) fn new(me: &str, lease: Duration) -> Self {
        Self { me: me.to_owned(), lease, others: BTreeMap::new() }
    }

    /// Takes note of a status. The lease runs from when we read it, so clocks need not agree. A member that leaves, or
    /// whose feed ended, is out at once. Returns true if the set of members changed.
    pub(crate) fn seen(&mut self, status: &wire::FeedStatus, now_ns: u64) -> bool {
        // A replay shows its feed like any other but fetches nothing.
        if status.ingestor_id == self.me || status.mode() == wire::FeedMode::Replay {
            return false;
        }
        let gone = status.leaving || status.state() == wire::FeedState::Ended;
        if gone {
            return self.others.remove(&status.ingestor_id).is_some();
        }
        let until = now_ns.saturating_add(u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX));
        if let Some(ends) = self.others.get_mut(&status.ingestor_id) {
            *ends = until;
            return false;
        }
        let room = self.others.len() < MEMBERS_MAX;
        if room {
            self.others.insert(status.ingestor_id.clone(), until);
        }
        room
    }

    /// Drops ended leases. Returns true if the set of members changed.
    pub(crate) fn expire(&mut self, now_ns: u64) -> bool {
        let before = self.others.len();
        self.others.retain(|_, ends| *ends > now_ns);
        self.others.len() != before
    }

    /// All live members, this one included.
    pub(crate) fn live(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str).chain([self.me.as_str()])
    }

    /// This member.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn status(id: &str, leaving: bool) -> wire::FeedStatus {
        wire::FeedStatus { ingestor_id: id.into(), leaving, ..Default::default() }
    }

    fn live(members: &Members) -> Vec<&str> {
        members.live().collect()
    }

    #[test]
    fn a_member_is_live_until_its_lease_ends() {
        let mut members = Members::new("me", Duration::from_secs(3));
        assert!(members.seen(&status("other", false), 10 * S));
        assert!(!members.seen(&status("other", false), 11 * S));
        assert!(!members.expire(13 * S));
        assert_eq!(live(&members), ["other", "me"]);
        assert!(members.expire(14 * S));
        assert_eq!(live(&members), ["me"]);
    }

    #[test]
    fn a_member_that_leaves_is_out_at_once() {
        let mut members = Members::new("me", Duration::from_secs(3));
        members.seen(&status("other", false), S);
        assert!(members.seen(&status("other", true), S));
        assert_eq!(live(&members), ["me"]);
    }

    #[test]
    fn this_member_is_always_live_whatever_its_own_records_say() {
        let mut members = Members::new("me", Duration::from_secs(3));
        assert!(!members.seen(&status("me", true), S));
        assert_eq!(live(&members), ["me"]);
    }

    #[test]
    fn a_replay_is_no_member() {
        let mut members = Members::new("me", Duration::from_secs(3));
        let replay = wire::FeedStatus { mode: wire::FeedMode::Replay as i32, ..status("replay", false) };
        assert!(!members.seen(&replay, S));
        assert_eq!(live(&members), ["me"]);
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        let mut members = Members::new("me", Duration::from_secs(3));
        for i in 0..1_000 {
            members.seen(&status(&format!("m{i}"), false), S);
        }
        assert_eq!(members.live().count(), MEMBERS_MAX + 1);
    }
}
