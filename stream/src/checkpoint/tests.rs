//! A checkpoint survives crashes between its steps, and no damage to a file is ever taken for a state.

use super::*;
use crate::aggregate::Params;
use crate::trade::{Trade, TradeId};

fn state(trades: u64) -> State {
    let mut partitions = vec![Aggregator::new(Params::default()), Aggregator::new(Params::default())];
    let key = partitions[1].key(&"SIM".parse().unwrap(), &"BTC/USDT".parse().unwrap()).unwrap();
    for n in 0..trades {
        let trade = Trade {
            id: TradeId::Numeric(n),
            event_time_ns: 1_723_161_240_000_000_000 + n * 1_000_000_000,
            receive_time_ns: 0,
            price: 10_i128.pow(18),
            size: 10_i128.pow(18),
            repaired: false,
        };
        partitions[1].trade(key, &trade, &mut Vec::new());
    }
    let positions = Positions::from([((LogTopic::NormTick, 1), trades), ((LogTopic::NormOhlc, 0), 0)]);
    State { positions, partitions, marks: VenueMarks::new(10) }
}

fn body(state: &State) -> Vec<u8> {
    encode_state(&state.positions, &state.partitions.iter().collect::<Vec<_>>(), &state.marks)
}

fn store() -> (tempfile::TempDir, CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path(), 10);
    (dir, store)
}

#[test]
fn the_newest_checkpoint_is_loaded() {
    let (_dir, store) = store();
    assert!(store.load().state.is_none());
    for trades in [3, 70] {
        store.save(&body(&state(trades))).unwrap();
        let loaded = store.load();
        assert_eq!(loaded.state, Some(state(trades)));
        assert!(loaded.unusable.is_empty());
    }
}

#[test]
fn any_flipped_byte_or_cut_gives_the_previous_checkpoint() {
    let (dir, store) = store();
    store.save(&body(&state(2))).unwrap();
    store.save(&body(&state(3))).unwrap();
    let good = fs::read(dir.path().join(CURRENT)).unwrap();
    let damaged = (0..good.len())
        .map(|at| {
            let mut file = good.clone();
            file[at] ^= 1 << (at % 8);
            file
        })
        .chain((0..good.len()).map(|end| good[..end].to_vec()));
    for (case, file) in damaged.enumerate() {
        fs::write(dir.path().join(CURRENT), &file).unwrap();
        let loaded = store.load();
        assert_eq!(loaded.state, Some(state(2)), "case {case}");
        assert_eq!(loaded.unusable.len(), 1, "case {case}");
    }
}

#[test]
fn a_damaged_checkpoint_never_becomes_the_previous_one() {
    let (dir, store) = store();
    store.save(&body(&state(2))).unwrap();
    store.save(&body(&state(3))).unwrap();
    fs::write(dir.path().join(CURRENT), b"damage").unwrap();
    assert_eq!(store.load().state, Some(state(2)));
    store.save(&body(&state(4))).unwrap();
    fs::write(dir.path().join(CURRENT), b"damage again").unwrap();
    assert_eq!(store.load().state, Some(state(2)), "the good previous one is still there");
}

#[test]
fn with_both_files_damaged_nothing_is_loaded_and_both_are_reported() {
    let (dir, store) = store();
    store.save(&body(&state(2))).unwrap();
    store.save(&body(&state(3))).unwrap();
    fs::write(dir.path().join(CURRENT), b"").unwrap();
    fs::write(dir.path().join(PREVIOUS), b"DXSTREAM").unwrap();
    let loaded = store.load();
    assert!(loaded.state.is_none());
    assert_eq!(loaded.unusable.len(), 2);
}

#[test]
fn a_crash_between_any_two_steps_of_saving_loses_nothing() {
    let (dir, store) = store();
    let at = |name: &str| dir.path().join(name);
    store.save(&body(&state(2))).unwrap();
    // Crashed while writing the new file.
    fs::write(at(UNFINISHED), b"half").unwrap();
    assert_eq!(store.load().state, Some(state(2)));
    // Crashed between the two renames.
    fs::rename(at(CURRENT), at(PREVIOUS)).unwrap();
    let loaded = store.load();
    assert_eq!(loaded.state, Some(state(2)));
    assert!(loaded.unusable.is_empty());
    store.save(&body(&state(3))).unwrap();
    assert_eq!(store.load().state, Some(state(3)));
}

#[test]
fn a_checkpoint_of_another_version_is_not_guessed_at() {
    let (dir, store) = store();
    store.save(&body(&state(2))).unwrap();
    let mut file = fs::read(dir.path().join(CURRENT)).unwrap();
    file[8] = 9;
    let crc = crc32c::crc32c(&file[..32]).to_le_bytes();
    file[32..36].copy_from_slice(&crc);
    fs::write(dir.path().join(CURRENT), &file).unwrap();
    let loaded = store.load();
    assert!(matches!(loaded.unusable[..], [CheckpointError::Version { version: 9, .. }]));
}
