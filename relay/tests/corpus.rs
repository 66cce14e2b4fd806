//! What the fuzzer has found interesting, in every test run: see `fuzz/`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/wire.rs"]
mod wire;

use std::path::PathBuf;

fn replay(target: &str, run: fn(&[u8])) {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    let folder = package.join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(file.unwrap().path()).unwrap();
        // Also each beginning of it, and it with each byte turned over.
        (0..=input.len()).for_each(|end| run(&input[..end]));
        for at in 0..input.len() {
            let mut changed = input.clone();
            changed[at] = !changed[at];
            run(&changed);
        }
        inputs += 1;
    }
    assert!(inputs > 1, "the corpus of {target} is gone");
}

#[test]
fn a_handshake_ends_the_same_however_it_is_cut() {
    replay("greeting", wire::greeting);
}

#[test]
fn frames_are_found_the_same_however_they_are_cut() {
    replay("frames", wire::frames);
}

#[test]
fn a_command_survives_being_read_and_written() {
    replay("commands", wire::commands);
}

#[test]
fn a_stream_of_subscriptions_leaves_what_a_plain_set_would() {
    replay("subscriptions", wire::subscriptions);
}
