//! The assistant against a user's tools that answer as the real ones do: what each phrase calls, whole turns, hostile outcomes, any text.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

#[path = "assistant/conversation.rs"]
mod conversation;
#[path = "assistant/hostile.rs"]
mod hostile;
#[path = "assistant/phrases.rs"]
mod phrases;
#[path = "assistant/turns.rs"]
mod turns;
#[path = "assistant/world.rs"]
mod world;
