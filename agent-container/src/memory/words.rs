//! What a person types, as a question for FTS5 that is never a syntax error.

use super::lexicon::is_stop_word;

/// Most words of a question that are looked for.
const WORDS_MAX: usize = 32;

/// Any of the words; text in double quotes as a phrase; a word that ends with `*` as a beginning. None if there is no word.
///
/// Everything is quoted, so FTS5's own operators, column filters and brackets are plain text.
pub(super) fn fts_query(text: &str) -> Option<String> {
    let mut terms = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            terms.extend(phrase(part));
        } else {
            for word in part.split_whitespace() {
                let whole = phrase(word);
                terms.extend(if word.ends_with('*') { whole.map(|term| format!("{term}*")) } else { whole });
            }
        }
    }
    let telling: Vec<String> =
        terms.iter().filter(|term| !is_stop_word(term.trim_matches('"'))).take(WORDS_MAX).cloned().collect();
    let terms = if telling.is_empty() { terms.into_iter().take(WORDS_MAX).collect() } else { telling };
    (!terms.is_empty()).then(|| terms.join(" OR "))
}

fn phrase(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| format!("\"{}\"", words.join(" ").to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::fts_query;

    #[test]
    fn operators_become_plain_words() {
        let cases = [
            ("stop-loss", Some("\"stop loss\"")),
            ("a AND b NEAR(c", Some("\"b\" OR \"near c\"")),
            ("\"take profit\" btc*", Some("\"take profit\" OR \"btc\"*")),
            ("content:x", Some("\"content x\"")),
            ("the of", Some("\"the\" OR \"of\"")),
            ("* \" ( ) ^ -", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(fts_query(text).as_deref(), expected, "{text:?}");
        }
    }
}
