//! The rolling summary of a conversation: sentences taken from it, of bounded size, and the same for the same messages.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::lexicon::is_stop_word;
use super::{Message, Role};

/// Longest sentence that is kept, in characters.
const SENTENCE_CHARS_MAX: usize = 200;

/// Why a summary could not be made; the old one stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the summary could not be made: {reason}")]
pub struct SummaryError {
    /// What failed.
    pub reason: String,
}

/// Carries a summary further by what was said since.
#[async_trait]
pub trait Summarizer: Send + Sync + std::fmt::Debug {
    /// A text of at most `bytes_max` bytes about what `previous` and `new` say.
    async fn summarize(&self, previous: &str, new: &[Message], bytes_max: usize) -> Result<String, SummaryError>;
}

/// Keeps the sentences that say most: rare words of the conversation, numbers, wishes and decisions, and what is new.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtractiveSummarizer;

#[async_trait]
impl Summarizer for ExtractiveSummarizer {
    async fn summarize(&self, previous: &str, new: &[Message], bytes_max: usize) -> Result<String, SummaryError> {
        Ok(extract(previous, new, bytes_max))
    }
}

/// Words that mark what should not be forgotten.
const MARKS: &str =
    "i my me prefer want always never must should decide decided agreed remember risk limit goal plan because avoid";

/// Picks sentences of the previous summary and of the new messages, in the order in which they were said.
fn extract(previous: &str, new: &[Message], bytes_max: usize) -> String {
    let mut lines: Vec<String> = previous.lines().map(str::to_owned).collect();
    let old = lines.len();
    for message in new.iter().filter(|message| matches!(message.role, Role::User | Role::Assistant)) {
        lines.extend(
            sentences(&message.content).into_iter().map(|sentence| format!("{}: {sentence}", message.role.name())),
        );
    }
    let mut frequency: HashMap<String, f64> = HashMap::new();
    for line in &lines {
        for word in telling_words(line) {
            *frequency.entry(word).or_default() += 1.0;
        }
    }
    let mut seen = HashSet::new();
    let mut ranked: Vec<(f64, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if seen.insert(line.to_lowercase()) {
            // What was kept before is worth a little more, so that the summary does not forget with each step.
            ranked.push((score(line, &frequency) * if index < old { 1.1 } else { 1.0 }, index));
        }
    }
    ranked.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(right.1.cmp(&left.1)));
    let mut bytes = 0;
    let mut kept: Vec<usize> = Vec::new();
    for (worth, index) in ranked {
        if worth > 0.0 && bytes + lines[index].len() < bytes_max {
            bytes += lines[index].len() + 1;
            kept.push(index);
        }
    }
    kept.sort_unstable();
    kept.iter().map(|index| lines[*index].as_str()).collect::<Vec<_>>().join("\n")
}

fn score(line: &str, frequency: &HashMap<String, f64>) -> f64 {
    let words: Vec<String> = telling_words(line).collect();
    if words.len() < 2 {
        return 0.0;
    }
    let topic: f64 = words.iter().filter_map(|word| frequency.get(word)).map(|count| count.ln_1p()).sum();
    let length = f64::from(u32::try_from(words.len()).unwrap_or(u32::MAX)).sqrt();
    let lower = line.to_lowercase();
    let marked = lower
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| MARKS.split(' ').any(|mark| mark == *word))
        .take(3)
        .count();
    let number = if line.bytes().any(|byte| byte.is_ascii_digit()) { 0.5 } else { 0.0 };
    let user = if line.starts_with("user: ") { 0.5 } else { 0.0 };
    topic / length + 0.4 * f64::from(u32::try_from(marked).unwrap_or(0)) + number + user
}

fn telling_words(line: &str) -> impl Iterator<Item = String> + '_ {
    let text = line.split_once(": ").map_or(line, |(_, text)| text);
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.len() > 1)
        .map(str::to_lowercase)
        .filter(|word| !is_stop_word(word))
}

fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\n' || (character.is_whitespace() && sentence.ends_with(['.', '!', '?'])) {
            close(&mut sentence, &mut sentences);
        } else if !character.is_control() {
            sentence.push(character);
        }
        if characters.peek().is_none() {
            close(&mut sentence, &mut sentences);
        }
    }
    sentences
}

fn close(sentence: &mut String, sentences: &mut Vec<String>) {
    let short: String = sentence.trim().chars().take(SENTENCE_CHARS_MAX).collect();
    if !short.is_empty() {
        sentences.push(short);
    }
    sentence.clear();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{extract, sentences};
    use crate::memory::{Message, Role};

    fn said(content: &str) -> Message {
        Message {
            seq: 1,
            id: String::new(),
            conversation_id: String::new(),
            role: Role::User,
            content: content.to_owned(),
            channel: String::new(),
            at_ns: 0,
            metadata: None,
        }
    }

    #[test]
    fn what_matters_is_kept_and_greetings_are_not() {
        let text = extract("", &[said("Hello! Thanks."), said("I never risk more than 2 percent on BTC trades.")], 200);
        assert_eq!(text, "user: I never risk more than 2 percent on BTC trades.");
    }

    #[test]
    fn a_line_of_text_is_a_sentence_and_decimals_are_not() {
        assert_eq!(sentences("RSI is 2.5 now. Buy?\nYes"), ["RSI is 2.5 now.", "Buy?", "Yes"]);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_deterministic(texts in proptest::collection::vec(".{0,300}", 0..20), bytes_max in 0_usize..2_000) {
            let messages: Vec<Message> = texts.iter().map(|text| said(text)).collect();
            let once = extract("", &messages, bytes_max);
            prop_assert!(once.len() <= bytes_max);
            prop_assert_eq!(&once, &extract("", &messages, bytes_max));
            prop_assert!(extract(&once, &messages, bytes_max).len() <= bytes_max);
        }
    }
}
