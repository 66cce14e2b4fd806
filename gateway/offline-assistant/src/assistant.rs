//! The shell: the rules as a model of the harness, with a clock, streaming its answer in small pieces.

use crate::answer::{Reply, answer};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use harness::model::{Answer, Chunk, Finish, Model, ModelError, Prompt, Usage};
use jiff::Timestamp;
use service::clock::Clock;

/// Bytes of a piece of text: a few words, so that a page shows an answer as it does a model's.
const PIECE_BYTES: usize = 24;

/// The assistant that answers when no language model is configured.
#[derive(Debug, Clone, Default)]
pub struct OfflineAssistant {
    clock: Clock,
}

impl OfflineAssistant {
    /// Its name in the configuration and in events.
    pub const NAME: &'static str = "offline";

    /// One that reads the time from `clock`.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

#[async_trait]
impl Model for OfflineAssistant {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn ask(&self, prompt: &Prompt) -> Result<Answer, ModelError> {
        let now = Timestamp::from_nanosecond(i128::from(self.clock.now_ns())).unwrap_or(Timestamp::UNIX_EPOCH);
        let chunks = chunks(answer(prompt, now));
        Ok(stream::iter(chunks.into_iter().map(Ok)).boxed())
    }
}

fn chunks(reply: Reply) -> Vec<Chunk> {
    let finish = if reply.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
    let mut chunks: Vec<Chunk> = pieces(&reply.text).map(|piece| Chunk::Text(piece.to_owned())).collect();
    chunks.extend(reply.calls.into_iter().enumerate().map(|(index, call)| Chunk::Call {
        index,
        id: Some(call.id),
        name: Some(call.name),
        arguments: call.arguments,
    }));
    // Rules use no tokens and cost nothing.
    chunks.push(Chunk::Usage(Usage::default()));
    chunks.push(Chunk::End(finish));
    chunks
}

/// The text in pieces that end behind a word where they can.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.floor_char_boundary(PIECE_BYTES.min(rest.len()));
        let end = if most == rest.len() { most } else { rest[..most].rfind(' ').map_or(most, |blank| blank + 1) };
        let (piece, left) = rest.split_at(end.max(1));
        rest = left;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::model::Message;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    #[tokio::test]
    async fn an_answer_is_streamed_in_small_pieces_and_ends_once() {
        let prompt = Prompt {
            system: String::new(),
            messages: vec![Message::User { text: "what can you do".to_owned() }],
            tools: Vec::new().into(),
            max_output_tokens: 1000,
            temperature: None,
        };
        let model = OfflineAssistant::new(Clock::manual(1_700_000_000_000_000_000));
        let chunks: Vec<Chunk> = model.ask(&prompt).await.unwrap().map(Result::unwrap).collect().await;
        let text: String = chunks
            .iter()
            .filter_map(|chunk| if let Chunk::Text(text) = chunk { Some(text.as_str()) } else { None })
            .collect();
        assert_eq!(text, answer(&prompt, Timestamp::UNIX_EPOCH).text);
        assert!(chunks.len() > 20, "{}", chunks.len());
        assert_eq!(chunks.iter().filter(|chunk| matches!(chunk, Chunk::End(Finish::Stop))).count(), 1);
        assert_eq!(chunks.last(), Some(&Chunk::End(Finish::Stop)));
        assert_eq!(model.name(), "offline");
    }

    proptest! {
        #[test]
        fn pieces_are_small_and_lose_nothing(text in "\\PC{0,300}") {
            let all: Vec<&str> = pieces(&text).collect();
            prop_assert_eq!(all.concat(), text.clone());
            prop_assert!(all.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
        }
    }
}
