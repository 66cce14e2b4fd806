//! Limits of the wire, in one place. A peer that exceeds one gets a typed error or is dropped; nothing is truncated.

/// Longest topic in bytes.
pub const TOPIC_BYTES: usize = 128;
/// Longest venue id in bytes.
pub const VENUE_BYTES: usize = 24;
/// Longest symbol in bytes.
pub const SYMBOL_BYTES: usize = 48;
/// Longest venue trade id in bytes.
pub const TRADE_ID_BYTES: usize = 64;
/// Largest frame 1 (header and payload) on ZeroMQ, in bytes.
pub const FRAME_BYTES: usize = 1 << 20;
/// Largest history request (header and payload), in bytes.
pub const REQUEST_BYTES: usize = 4096;
/// Most candles or ticks in one batch message.
pub const BATCH_ROWS: usize = 1000;
/// Longest range of one history request, in candles.
pub const REQUEST_CANDLES: u64 = 100_000;
/// Longest range of one history request for ticks, in nanoseconds (one day).
pub const REQUEST_TICKS_NS: u64 = 86_400_000_000_000;
/// Largest value of a log record, in bytes.
pub const RECORD_BYTES: usize = 4 << 20;
/// Longest text of an error, in bytes.
pub const ERROR_TEXT_BYTES: usize = 512;
/// Largest payload of a user event, in bytes.
pub const EVENT_PAYLOAD_BYTES: usize = 64 << 10;
