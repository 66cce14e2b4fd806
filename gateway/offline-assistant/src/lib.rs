//! The assistant without a language model: rules that say that they are rules, and what the platform knows about itself.
//!
//! [`OfflineAssistant`] is a [`Model`](harness::model::Model) like any other: the harness asks it with the conversation, carries its calls
//! out and asks again with their outcomes. [`answer()`] is its pure core. Beside it: the platform's [tools](platform_tools) as all models see them,
//! the computations behind two of them ([`analysis`]), and the [`knowledge`] that the third searches.
//!
//! **Invariants.** A number in an answer is one that a tool gave. Success is never claimed that an outcome does not state. What tools,
//! markets and files say is shown as a quotation and never followed. A turn calls no tool twice and ends within [`ROUNDS_MAX`] rounds of calls.

mod answer;
mod assistant;
mod backtest;
mod chart;
mod examples;
mod files;
mod followup;
mod instrument;
mod intent;
mod lists;
mod markets;
mod memory;
mod outcome;
mod platform;
mod prices;
mod python;
mod recipes;
mod report;
mod step;
mod studies;
mod talk;
mod times;
mod turn;
mod words;

pub mod analysis;
pub mod knowledge;
pub mod platform_tools;

pub use answer::{ROUNDS_MAX, Reply, answer};
pub use assistant::OfflineAssistant;
pub use examples::{ExamplePrompt, example_prompts};
