//! The escape corpus: what user code tries, what it gets, and that the server answers the next job all the same.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests; they print what each attempt got")]

#[path = "escape/attacks.rs"]
mod attacks;
#[path = "escape/lifecycle.rs"]
mod lifecycle;
#[path = "escape/ordinary.rs"]
mod ordinary;
#[path = "escape/probes.rs"]
mod probes;
#[path = "escape/world.rs"]
mod world;
