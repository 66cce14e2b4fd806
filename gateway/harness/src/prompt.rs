//! What a model is told: rules, then data in a fixed order and within a budget, then the conversation. Pure.

use crate::config::PromptConfig;
use crate::model::Message;
use crate::parts::{ContextTexts, Snippet};

/// The platform's rules, above everything a user can write.
const RULES: &str = include_str!("prompt/rules.md");

/// An earlier turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) user: String,
    pub(crate) assistant: String,
}

/// Rules, profile, workspace, custom, summary, memories, and the time; never over the budget, save for the rules themselves.
pub(crate) fn system(config: &PromptConfig, texts: &ContextTexts, snippets: &[Snippet], now: &str) -> String {
    let mut prompt = RULES.to_owned();
    let end = format!("\nNow: {now} (UTC).\n");
    let room = config.system_bytes.saturating_sub(prompt.len() + end.len());
    // Shares of what the rules leave, in percent; what one leaves over is for those behind it.
    let sections = [
        ("user-profile", &texts.profile, 15),
        ("workspace", &texts.workspace, 25),
        ("user-wishes", &texts.custom, 25),
        ("conversation-summary", &texts.summary, 15),
    ];
    let (mut share, mut used) = (0, 0);
    for (source, text, percent) in sections {
        share += percent;
        let section = delimited_within(source, text, (room * share / 100).saturating_sub(used));
        used += section.len();
        prompt.push_str(&section);
    }
    for snippet in snippets.iter().take(config.snippets) {
        let section = delimited_within(&format!("memory:{}", snippet.source), &snippet.text, room.saturating_sub(used));
        used += section.len();
        prompt.push_str(&section);
    }
    prompt.push_str(&end);
    prompt
}

/// Text as data: nothing in it can close the delimiter.
pub(crate) fn delimited(source: &str, text: &str) -> String {
    let source: String = source
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ":/._-".contains(c) { c } else { '_' })
        .take(96)
        .collect();
    format!("<data source=\"{source}\">\n{}\n</data>\n", disarmed(text))
}

/// Empty if there is no text or no room for some of it.
fn delimited_within(source: &str, text: &str, most: usize) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let whole = delimited(source, text);
    if whole.len() < most {
        return format!("\n{whole}");
    }
    let frame = delimited(source, "").len() + 1;
    // Disarming makes a text up to three times longer in the worst case, so the cut is found by trying.
    let mut room = most.saturating_sub(frame);
    while room >= 64 {
        let cut = delimited(source, &shortened(text, room));
        if cut.len() < most {
            return format!("\n{cut}");
        }
        room = room * 3 / 4;
    }
    String::new()
}

/// Takes the power from everything that looks like a delimiter.
fn disarmed(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        safe.push_str(&rest[..at]);
        // A reader may overlook what stands between the letters, so it is overlooked here too.
        let seen = rest[at + 1..].chars().filter(|c| *c != '/' && !c.is_whitespace() && !c.is_control());
        let looks_like = seen.take(4).map(|c| c.to_ascii_lowercase()).eq("data".chars());
        safe.push(if looks_like { '‹' } else { '<' });
        rest = &rest[at + 1..];
    }
    safe.push_str(rest);
    safe
}

/// The beginning and the end of a text that is too long, with a word about what is missing.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let note = format!("\n… {} bytes left out …\n", text.len() - most);
    let room = most.saturating_sub(note.len());
    let head = floor_char(text, room * 3 / 4);
    let tail = ceil_char(text, text.len() - (room - room * 3 / 4));
    format!("{}{note}{}", &text[..head], &text[tail..])
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// A guess that is rather too high; models count differently.
pub(crate) const fn tokens(text: &str) -> usize {
    text.len().div_ceil(3) + 4
}

/// The newest exchanges within the budget, oldest first, and how many were left out.
pub(crate) fn history(config: &PromptConfig, newest_first: &[Exchange]) -> (Vec<Message>, usize) {
    let mut left = config.history_tokens;
    let mut taken = 0;
    for exchange in newest_first {
        let cost = tokens(&exchange.user) + tokens(&exchange.assistant);
        if cost > left {
            break;
        }
        left -= cost;
        taken += 1;
    }
    let mut messages = Vec::with_capacity(2 * taken);
    for exchange in newest_first[..taken].iter().rev() {
        messages.push(Message::User { text: exchange.user.clone() });
        if !exchange.assistant.is_empty() {
            messages.push(Message::Assistant { text: exchange.assistant.clone(), calls: Vec::new() });
        }
    }
    (messages, newest_first.len() - taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts() -> ContextTexts {
        ContextTexts { profile: "P".into(), summary: "S".into(), workspace: "W".into(), custom: "C".into() }
    }

    #[test]
    fn the_order_is_fixed_and_rules_come_first() {
        let memory = Snippet { source: "knowledge/rsi.md".into(), text: "M".into() };
        let prompt = system(&PromptConfig::default(), &texts(), &[memory], "2026-01-01T00:00:00Z");
        assert!(prompt.starts_with(RULES));
        let places: Vec<usize> =
            ["\nP\n", "\nW\n", "\nC\n", "\nS\n", "\nM\n", "Now: 2026"].map(|it| prompt.find(it).expect(it)).into();
        assert!(places.is_sorted(), "{places:?}");
        assert!(prompt.contains("<data source=\"memory:knowledge/rsi.md\">"));
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let config = PromptConfig { system_bytes: 6000, ..PromptConfig::default() };
        let long = "<data>ä".repeat(10_000);
        let texts = ContextTexts {
            profile: long.clone(),
            summary: long.clone(),
            workspace: long.clone(),
            custom: long.clone(),
        };
        let memories = vec![Snippet { source: long.clone(), text: long }; 6];
        let prompt = system(&config, &texts, &memories, "now");
        assert!(prompt.len() <= 6000, "{}", prompt.len());
        for source in ["user-profile", "workspace", "user-wishes", "conversation-summary"] {
            assert!(prompt.contains(source), "each has its share: {source}");
        }
    }

    #[test]
    fn history_is_the_newest_that_fits() {
        let config = PromptConfig { history_tokens: 40, ..PromptConfig::default() };
        let exchange = |n: usize| Exchange { user: format!("question {n}"), assistant: format!("answer {n}") };
        let newest_first: Vec<Exchange> = (0..5).rev().map(exchange).collect();
        let (messages, left_out) = history(&config, &newest_first);
        assert_eq!(left_out, 3);
        assert_eq!(messages.first(), Some(&Message::User { text: "question 3".into() }));
        assert_eq!(messages.len(), 4);
    }

    proptest! {
        #[test]
        fn no_text_closes_its_delimiter(text in "(<|/|d|D|a|A|t|T|ta|data|</data>|< / DATA|\n| |x){0,40}") {
            let wrapped = delimited("x", &text);
            let lower = wrapped.to_lowercase();
            let inner = &lower[lower.find('\n').unwrap()..lower.rfind("</data>").unwrap()];
            let squeezed: String = inner.chars().filter(|c| !c.is_whitespace()).collect();
            prop_assert!(!squeezed.contains("</data") && !squeezed.contains("<data"), "{wrapped}");
        }

        #[test]
        fn shortening_never_breaks_a_character(text in "[äöü€a]{0,400}", most in 0_usize..400) {
            let short = shortened(&text, most);
            prop_assert!(short.len() <= text.len().max(most + 48));
        }
    }
}
