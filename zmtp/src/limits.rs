//! What a peer may make us hold, in one place.

/// Limits on what one peer may send. A peer that exceeds one is disconnected before memory is taken for the excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of one frame of a message.
    pub frame_bytes: usize,
    /// Most frames of one message.
    pub parts: usize,
    /// Largest message with all its frame heads; bounds the receive buffer of a connection.
    pub message_bytes: usize,
    /// Largest body of a command, READY included.
    pub command_bytes: usize,
    /// Longest topic or subscription. A longer subscription is refused, not an error of the protocol.
    pub topic_bytes: usize,
    /// Most commands between two frames of one message.
    pub commands_between_parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1 << 20,
            parts: 16,
            message_bytes: (1 << 20) + (64 << 10),
            command_bytes: 4096,
            topic_bytes: 256,
            commands_between_parts: 16,
        }
    }
}
