//! What a socket counted; nothing is dropped in silence.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of a socket, shared with its tasks.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The values of [`Counters`] at one time.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct CountersSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The values now.
            #[must_use]
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Handshakes that succeeded.
    connected,
    /// Connections that ended after their handshake.
    disconnected,
    /// Attempts that ended before the handshake was complete.
    failed,
    /// Messages given to a connection.
    sent,
    /// Messages received.
    received,
    /// Messages not sent: the queue was full, or the connection ended before they were written.
    send_dropped,
    /// Messages received but dropped because the receive queue was full.
    receive_dropped,
    /// Incoming connections refused because there were too many.
    refused,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
