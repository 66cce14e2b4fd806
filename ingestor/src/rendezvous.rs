//! Who of several ingestors does a piece of work: rendezvous hashing, so that all members agree without talking.
//!
//! Each member gets a score for each key, and the highest score owns the key. When a member leaves, only its own keys
//! move, evenly over the others. The hash is spelled out here because it must be the same in each build for ever.

use proto::HistoryRange;

/// FNV-1a, then a finaliser: FNV alone spreads short keys badly in the high bits.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        for byte in (part.len() as u64).to_le_bytes().iter().chain(*part) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

/// What identifies a piece of history work: the range and nothing of the request.
pub(crate) fn range_key(range: &HistoryRange) -> String {
    let seconds = range.interval.map_or(0, proto::Interval::seconds);
    format!("{}:{}|{seconds}|{}|{}", range.venue, range.symbol, range.from_ns, range.to_ns)
}

/// The member that owns `key`; `None` if there is none. Equal scores go to the smaller id.
pub(crate) fn owner<'a>(members: impl IntoIterator<Item = &'a str>, key: &str) -> Option<&'a str> {
    members
        .into_iter()
        .map(|member| (hash(&[member.as_bytes(), key.as_bytes()]), member))
        .max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, member)| member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_owner_of_a_key_never_changes_between_builds() {
        assert_eq!(hash(&[b"a", b"b"]), hash(&[b"a", b"b"]));
        let members = ["ing-1", "ing-2", "ing-3"];
        let owners: Vec<_> = ["k1", "k2", "k3", "k4", "k5"].iter().filter_map(|k| owner(members, k)).collect();
        assert_eq!(owners, GOLDEN);
    }

    const GOLDEN: [&str; 5] = ["ing-2", "ing-2", "ing-1", "ing-3", "ing-1"];

    #[test]
    fn nobody_owns_anything_when_nobody_is_there() {
        assert_eq!(owner([], "k"), None);
    }

    #[test]
    fn keys_spread_evenly() {
        let members: Vec<String> = (0..5).map(|i| format!("ingestor-{i}")).collect();
        let mut counts = [0usize; 5];
        for key in 0..5_000 {
            let owner = owner(members.iter().map(String::as_str), &format!("SIM:BTC/USDT|60|{key}")).unwrap();
            counts[members.iter().position(|m| m == owner).unwrap()] += 1;
        }
        assert!(counts.iter().all(|c| (800..1_200).contains(c)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn when_a_member_leaves_only_its_keys_move(keys in proptest::collection::vec("[a-z]{1,12}", 1..40), gone in 0usize..4) {
            let members = ["m0", "m1", "m2", "m3"];
            let rest: Vec<&str> = members.iter().copied().filter(|m| *m != members[gone]).collect();
            for key in keys {
                let before = owner(members, &key).unwrap();
                let after = owner(rest.iter().copied(), &key).unwrap();
                prop_assert!(before == members[gone] || before == after);
            }
        }

        #[test]
        fn the_order_in_which_members_are_named_does_not_matter(key in ".{0,20}") {
            prop_assert_eq!(owner(["a", "b", "c"], &key), owner(["c", "a", "b"], &key));
        }
    }
}
