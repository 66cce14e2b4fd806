//! The sans-IO codec: greeting, handshake, frames, messages and commands as bytes in, facts out.
//!
//! Reading order: [`Handshake`] until it is done, then one [`Scanner`] per connection over the bytes that follow. The
//! scanner looks at bytes in place: it owns no buffer, allocates nothing, and names ranges instead of making objects.

mod command;
mod error;
mod frame;
mod greeting;
mod handshake;
mod ready;
mod scanner;

pub use command::{Command, PING_CONTEXT_BYTES, SubscriptionChange};
pub use error::{FrameError, HandshakeError};
pub use frame::{FrameHead, encode_frame, encode_message, frame_len, message_len};
pub use greeting::{GREETING_BYTES, Greeting};
pub use handshake::{Handshake, Local, Peer};
pub use ready::Ready;
pub use scanner::{Parts, Scan, Scanner, excise, whole_message_len};
