//! The local embedder: meaning from a lexicon of trading talk, without network, weights or start-up cost.
//!
//! Each meaning of `embeddings/lexicon.txt` has a fixed pseudo-random direction; a theme adds a common one. A word is the sum
//! of its meanings and of a direction of its own stem, so that equal words still count; a word that the lexicon lacks is the
//! sum of its letter groups, so that spellings of it are alike. A text is the sum of its words, each weighted by how telling it
//! is. It finds paraphrases within its lexicon and no others: an endpoint's embedder knows the rest of the language.

use std::collections::HashMap;
use std::sync::OnceLock;

use async_trait::async_trait;

use super::embedder::{EmbedError, Embedder};

/// Written for this project, so no third party's licence applies.
const LEXICON: &str = include_str!("../../embeddings/lexicon.txt");
const DIMENSIONS: usize = 256;
const MEANING: f32 = 1.0;
const THEME: f32 = 0.25;
const STEM: f32 = 0.7;
const LETTERS: f32 = 0.5;
/// What a word weighs that says little; all other words weigh 1.
const COMMON: f32 = 0.15;
const WORDS_PER_PHRASE_MAX: usize = 4;
/// A longer text is embedded by its beginning.
const WORDS_MAX: usize = 512;

const STOP: &str = "a about all am an and any are as at be been before but by can did do does doing for from had has have he her \
    here him his how i if in into is it its just me my no nor not of off on once only or our out own she should so some such \
    than that the their them then there these they this those to too us very was we were what when where which while who whom \
    why will with would you your please thanks hello";
const COMMON_WORDS: &str = "one two three go get got make makes use used want need like know think say said tell ask let put set take give \
    thing way lot much more most less many new old good bad first last next after over under again time day year week now still \
    also even back while see look come keep find show";

/// Finds paraphrases by a lexicon of trading talk.
#[derive(Debug, Clone, Copy, Default)]
pub struct LexiconEmbedder;

struct Lexicon {
    /// Stems of a word or phrase, and the lines that they stand in.
    meanings: HashMap<String, Vec<u16>>,
    themes: Vec<u16>,
}

/// A few hundred lines: read at the first use, about 100 KB.
fn lexicon() -> &'static Lexicon {
    static READ: OnceLock<Lexicon> = OnceLock::new();
    READ.get_or_init(|| {
        let mut lexicon = Lexicon { meanings: HashMap::new(), themes: Vec::new() };
        let mut theme = 0;
        for line in LEXICON.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                theme += 1;
            } else if let Some((_, words)) = line.split_once(':') {
                let number = u16::try_from(lexicon.themes.len()).unwrap_or(u16::MAX);
                lexicon.themes.push(theme);
                for (index, part) in words.split('"').enumerate() {
                    let phrases: Vec<&str> =
                        if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() };
                    for phrase in phrases {
                        let lines = lexicon.meanings.entry(stems(phrase).join(" ")).or_default();
                        if !lines.contains(&number) {
                            lines.push(number);
                        }
                    }
                }
            }
        }
        lexicon
    })
}

#[async_trait]
impl Embedder for LexiconEmbedder {
    fn id(&self) -> &str {
        "dexorder-lexicon-1"
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn floor(&self) -> f32 {
        0.18
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }
}

fn embed(text: &str) -> Vec<f32> {
    let lexicon = lexicon();
    let mut sum = vec![0.0; DIMENSIONS];
    let words = words(text);
    let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
    let mut at = 0;
    while at < words.len() {
        let longest = WORDS_PER_PHRASE_MAX.min(words.len() - at);
        let phrase = (2..=longest)
            .rev()
            .find_map(|length| Some((length, lexicon.meanings.get(&stems[at..at + length].join(" "))?)));
        if let Some((length, meanings)) = phrase {
            add_meanings(&mut sum, lexicon, meanings, 1.0);
            for stem in &stems[at..at + length] {
                add(&mut sum, &format!("stem {stem}"), STEM / 2.0);
            }
            at += length;
            continue;
        }
        let weight = weight(&words[at]);
        if weight > 0.0 {
            if let Some(meanings) = lexicon.meanings.get(&stems[at]) {
                add_meanings(&mut sum, lexicon, meanings, weight.max(0.5));
                add(&mut sum, &format!("stem {}", stems[at]), weight * STEM);
            } else {
                add_letters(&mut sum, &stems[at], weight);
            }
        }
        at += 1;
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        sum.iter_mut().for_each(|value| *value /= length);
    }
    sum
}

/// A word of many meanings says less about each.
fn add_meanings(sum: &mut [f32], lexicon: &Lexicon, meanings: &[u16], weight: f32) {
    let share = weight / f32::from(u16::try_from(meanings.len()).unwrap_or(u16::MAX)).sqrt();
    for meaning in meanings {
        add(sum, &format!("meaning {meaning}"), share * MEANING);
        add(sum, &format!("theme {}", lexicon.themes[usize::from(*meaning)]), share * THEME);
    }
}

fn add_letters(sum: &mut [f32], stem: &str, weight: f32) {
    add(sum, &format!("stem {stem}"), weight * STEM);
    let letters: Vec<char> = format!("^{stem}$").chars().collect();
    let groups = letters.len().saturating_sub(2).max(1);
    let share = weight * LETTERS / f32::from(u16::try_from(groups).unwrap_or(u16::MAX)).sqrt();
    for group in letters.windows(3) {
        add(sum, &group.iter().collect::<String>(), share);
    }
}

/// Adds the fixed direction of `key`: one of +1 and -1 in each dimension, drawn by a hash, scaled to length `weight`.
fn add(sum: &mut [f32], key: &str, weight: f32) {
    // FNV-1a, then splitmix64: fixed for ever, as stored vectors depend on it.
    let mut state = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let part = weight / 16.0;
    for chunk in sum.chunks_mut(64) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        for value in chunk {
            *value += if bits & 1 == 1 { part } else { -part };
            bits >>= 1;
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let whole = text.to_lowercase();
    let split = whole.split(|character: char| !character.is_alphanumeric() && character != '%');
    split.filter(|word| !word.is_empty()).take(WORDS_MAX).map(str::to_owned).collect()
}

fn stems(text: &str) -> Vec<String> {
    words(text).iter().map(|word| stem(word)).collect()
}

fn weight(word: &str) -> f32 {
    if is_stop_word(word) {
        0.0
    } else if COMMON_WORDS.split_whitespace().any(|common| common == word) {
        COMMON
    } else if word.chars().all(|character| character.is_ascii_digit()) {
        0.3
    } else {
        1.0
    }
}

/// Whether a word says nothing about what a text is about.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP.split_whitespace().any(|stop| stop == word)
}

/// Cuts off English endings. Coarse on purpose: it only has to treat both sides alike.
fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    let mut stem = word;
    for (ending, rest_min) in
        [("ies", 3), ("ings", 4), ("ing", 4), ("edly", 4), ("ed", 3), ("es", 4), ("s", 3), ("ly", 4)]
    {
        if let Some(rest) = stem.strip_suffix(ending)
            && rest.len() >= rest_min
            && !(ending == "s" && rest.ends_with(['s', 'u', 'i']))
        {
            stem = rest;
            break;
        }
    }
    let mut stem = stem.to_owned();
    let bytes = stem.as_bytes();
    let doubled = bytes.len() > 4 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2] && !stem.ends_with(['s', 'l']);
    if doubled || (stem.len() > 3 && stem.ends_with(['e', 'y'])) {
        stem.pop();
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::{embed, stem};

    fn likeness(left: &str, right: &str) -> f32 {
        embed(left).iter().zip(embed(right)).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            ["trade", "trades", "trading"],
            ["notify", "notifies", "notify"],
            ["stop", "stops", "stopped"],
            ["close", "closes", "closing"],
        ] {
            assert!(forms.iter().all(|form| stem(form) == stem(forms[0])), "{forms:?} {:?}", forms.map(stem));
        }
    }

    #[test]
    fn a_paraphrase_is_nearer_than_another_topic() {
        let question = "how do I protect against a falling price";
        assert!(
            likeness(question, "set a stop-loss below support")
                > likeness(question, "the weather in Lisbon is lovely") + 0.2
        );
    }

    #[test]
    fn a_text_without_words_is_the_zero_vector() {
        assert!(embed("?! ...").iter().all(|value| value.abs() < f32::EPSILON));
    }

    #[test]
    fn a_misspelt_unknown_word_is_near_its_right_spelling() {
        assert!(likeness("kubernetes", "kubernets") > 0.3);
    }
}
