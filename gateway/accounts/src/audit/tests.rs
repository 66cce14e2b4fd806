//! Tests of the chain: each kind of damage is found, at its place.

use super::*;

fn chain(length: u64) -> Vec<Entry> {
    let mut previous = hex(&GENESIS);
    (1..=length)
        .map(|position| {
            let attempt = Attempt {
                event: Event::Password,
                outcome: if position % 3 == 0 { Outcome::Wrong } else { Outcome::Granted },
                user: Some(UserId::from_bits(u128::from(position))),
                by: None,
                name: format!("user{position}"),
                address: "192.0.2.1".to_owned(),
            };
            let entry = Entry::new(position, position * 1000, &attempt, &previous);
            previous.clone_from(&entry.hash);
            entry
        })
        .collect()
}

fn verify(entries: &[Entry], head: &Entry) -> Verdict {
    let mut verifier = Verifier::default();
    for entry in entries {
        if let Err(verdict) = verifier.push(entry) {
            return verdict;
        }
    }
    verifier.finish(head.position, &head.hash)
}

#[test]
fn an_untouched_chain_is_intact() {
    let entries = chain(20);
    let head = entries[19].clone();
    assert_eq!(verify(&entries, &head), Verdict::Intact { entries: 20, head: head.hash });
    let empty = Verifier::default().finish(0, &hex(&GENESIS));
    assert_eq!(empty, Verdict::Intact { entries: 0, head: hex(&GENESIS) });
}

#[test]
fn a_change_of_any_field_is_found_at_its_entry() {
    type Change = (&'static str, fn(&mut Entry), Fault);
    let changes: [Change; 9] = [
        ("time", |entry| entry.at_ns += 1, Fault::Content),
        ("event", |entry| "refresh".clone_into(&mut entry.event), Fault::Content),
        ("outcome", |entry| "granted".clone_into(&mut entry.outcome), Fault::Content),
        ("user", |entry| entry.user.replace_range(0..1, "7"), Fault::Content),
        ("by", |entry| entry.by.push('X'), Fault::Content),
        ("commitment", |entry| entry.commitment.replace_range(0..1, "z"), Fault::Content),
        ("hash", |entry| entry.hash.replace_range(0..1, "z"), Fault::Content),
        ("name", |entry| entry.personal.as_mut().unwrap().name.push('x'), Fault::Personal),
        ("address", |entry| entry.personal.as_mut().unwrap().address.push('1'), Fault::Personal),
    ];
    for (name, change, fault) in changes {
        let mut entries = chain(12);
        let head = entries[11].clone();
        change(&mut entries[5]);
        assert_eq!(verify(&entries, &head), Verdict::Broken { position: 6, fault }, "{name}");
    }
}

#[test]
fn a_rewritten_entry_is_found_where_the_next_one_does_not_follow() {
    let mut entries = chain(12);
    let head = entries[11].clone();
    entries[5].outcome = "granted".to_owned();
    entries[5].hash = entries[5].content_hash();
    assert_eq!(verify(&entries, &head), Verdict::Broken { position: 7, fault: Fault::Previous });
}

#[test]
fn removed_swapped_and_cut_off_entries_are_found() {
    let whole = chain(12);
    let head = whole[11].clone();
    let mut removed = whole.clone();
    removed.remove(3);
    assert_eq!(verify(&removed, &head), Verdict::Broken { position: 4, fault: Fault::Missing });
    let mut swapped = whole.clone();
    swapped.swap(3, 4);
    assert_eq!(verify(&swapped, &head), Verdict::Broken { position: 4, fault: Fault::Missing });
    assert_eq!(verify(&whole[..9], &head), Verdict::Broken { position: 10, fault: Fault::Missing });
    let other = chain(12);
    assert!(matches!(verify(&other, &head), Verdict::Broken { position: 13, .. }), "another chain of the same length");
}

#[test]
fn erasing_name_and_address_leaves_the_chain_whole() {
    let mut entries = chain(12);
    let head = entries[11].clone();
    for at in [0, 5, 11] {
        entries[at].personal = None;
    }
    assert!(matches!(verify(&entries, &head), Verdict::Intact { entries: 12, .. }));
}

#[test]
fn fields_cannot_run_into_each_other() {
    let personal = |name: &str, address: &str| Personal {
        salt: "00".to_owned(),
        name: name.to_owned(),
        address: address.to_owned(),
    };
    assert_ne!(personal("ab", "c").commitment(), personal("a", "bc").commitment());
    assert_ne!(Personal::new("a", "b").commitment(), Personal::new("a", "b").commitment(), "salted");
}

#[test]
fn names_are_distinct_and_those_of_the_api() {
    let mut names: Vec<&str> = Event::ALL.iter().map(|event| event.name()).collect();
    for event in Event::ALL {
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
    for outcome in Outcome::ALL {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Event::ALL.len());
}
