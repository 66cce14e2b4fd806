//! What the two ends of the channel of user events share: a container sends, a gateway receives
//! (docs/protocol/07-user-events.md).
//!
//! - [`MacKey`], [`Keyring`]: the key of one container, and who has which;
//! - [`seal`], [`open`]: a critical message or an ack is sealed with that key, so that no container speaks for another;
//! - [`Stream`]: what a receiver knows of one outbox, and [`Stream::decide`]: what to do with a message from it.
//!
//! Pure: no socket, no clock, no disk. A process may not import another process, and both ends must agree to the byte;
//! that is why this is a room of its own (docs/adr/0019-user-events.md).
//!
//! Invariants: nothing of a message is decoded beyond its route before its seal is verified; seals are compared in
//! constant time; a key is never printed; a decision changes nothing until the caller, who must first make it durable,
//! applies it.

mod key;
mod receiver;
mod seal;

pub use key::{KEY_BYTES, KeyError, Keyring, MacKey};
pub use receiver::{Decision, Refusal, Stream, StreamError, unauthenticated_hint};
pub use seal::{OpenError, Opened, OpenedAck, SEAL_BYTES, Sealed, open, open_ack, seal_ack, seal_event};
