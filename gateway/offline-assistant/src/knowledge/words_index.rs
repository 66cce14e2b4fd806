//! The index of this process: BM25 over stems, with a table of trading words that mean the same.

use super::{Found, Index, Indexed, KnowledgeError, Owner, POINTS_MAX, Scope, Snippet};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

/// BM25's usual constants (Robertson, Zaragoza 2009).
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// What a word of the heading, and of the page's title, counts, in words of the text.
const HEADING: f64 = 4.0;
const TITLE: f64 = 1.0;
/// What a word of the same meaning counts, in words of the query.
const SAME_MEANING: f64 = 0.4;

/// Words that mean much the same, written for this project; a word may stand in several lines.
const MEANINGS: &str = include_str!("meanings.txt");

const STOP: &str = "a about all am an and any are as at be been but by can could did do does doing for from had has have he her here him his how i if in \
    into is it its just me my no nor not of off on once only or our out own please say she should so some such tell than thanks that the their \
    them then there these they this those to too very was we were what when where which while who whom why will with would you your explain \
    mean means show give work works";

#[derive(Debug)]
struct Point {
    source: String,
    snippet: Snippet,
    /// Weight of each stem.
    stems: HashMap<String, f64>,
    length: f64,
}

#[derive(Debug, Default)]
struct Shelf {
    pages: Vec<Indexed>,
    points: Vec<Point>,
}

/// Points of all owners, in memory; made anew at each start.
#[derive(Debug, Default)]
pub struct WordsIndex {
    shelves: RwLock<BTreeMap<Owner, Shelf>>,
}

impl WordsIndex {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Index for WordsIndex {
    async fn indexed(&self, owner: &Owner) -> Result<Vec<Indexed>, KnowledgeError> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        Ok(shelves.get(owner).map(|shelf| shelf.pages.clone()).unwrap_or_default())
    }

    async fn replace(&self, owner: &Owner, page: Indexed, snippets: Vec<Snippet>) -> Result<(), KnowledgeError> {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let shelf = shelves.entry(*owner).or_default();
        let others = shelf.points.iter().filter(|point| point.source != page.source).count();
        let points = others + snippets.len();
        if points > POINTS_MAX {
            return Err(KnowledgeError::TooManyPoints { points, most: POINTS_MAX });
        }
        shelf.points.retain(|point| point.source != page.source);
        shelf.pages.retain(|known| known.source != page.source);
        if !snippets.is_empty() {
            shelf.points.extend(snippets.into_iter().map(|snippet| point(&page.source, snippet)));
            shelf.pages.push(page);
        }
        Ok(())
    }

    async fn nearest(&self, scope: &Scope, query: &str, limit: usize) -> Result<Vec<Found>, KnowledgeError> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let seen = scope.owners().into_iter().filter_map(|owner| shelves.get(&owner).map(|shelf| (owner, shelf)));
        let points: Vec<(Owner, &Point)> =
            seen.flat_map(|(owner, shelf)| shelf.points.iter().map(move |point| (owner, point))).collect();
        Ok(ranked(&points, &wanted(query), limit))
    }

    async fn count(&self, owner: &Owner) -> Result<u64, KnowledgeError> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        Ok(shelves.get(owner).map_or(0, |shelf| u64::try_from(shelf.points.len()).unwrap_or(u64::MAX)))
    }

    async fn clear(&self, owner: &Owner) -> Result<(), KnowledgeError> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner).remove(owner);
        Ok(())
    }
}

fn point(source: &str, snippet: Snippet) -> Point {
    let mut weights: HashMap<String, f64> = HashMap::new();
    let (title, heading) = snippet.heading.split_once(": ").unwrap_or(("", snippet.heading.as_str()));
    for (text, weight) in [(title, TITLE), (heading, HEADING), (snippet.text.as_str(), 1.0)] {
        for stem in stems(text) {
            *weights.entry(stem).or_default() += weight;
        }
    }
    let length = weights.values().sum();
    Point { source: source.to_owned(), snippet, stems: weights, length }
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn ranked(points: &[(Owner, &Point)], wanted: &HashMap<String, f64>, limit: usize) -> Vec<Found> {
    let count = points.len() as f64;
    let mean = points.iter().map(|(_, point)| point.length).sum::<f64>() / count.max(1.0);
    let rare: HashMap<&str, f64> = wanted
        .keys()
        .map(|stem| {
            let with = points.iter().filter(|(_, point)| point.stems.contains_key(stem)).count() as f64;
            (stem.as_str(), ((count - with + 0.5) / (with + 0.5)).ln_1p())
        })
        .collect();
    let score = |point: &Point| -> f64 {
        let of = |(stem, weight): (&String, &f64)| {
            let often = point.stems.get(stem).copied().unwrap_or(0.0);
            weight * rare.get(stem.as_str()).copied().unwrap_or(0.0) * often * (K1 + 1.0)
                / (often + K1 * (1.0 - B + B * point.length / mean))
        };
        wanted.iter().map(of).sum()
    };
    let mut found: Vec<(usize, f64)> = points
        .iter()
        .enumerate()
        .map(|(at, (_, point))| (at, score(point)))
        .filter(|(_, score)| *score > 0.0)
        .collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    found
        .into_iter()
        .take(limit)
        .map(|(at, score)| Found { owner: points[at].0, snippet: points[at].1.snippet.clone(), score })
        .collect()
}

/// The stems of a query with their weights, words of the same meaning included.
fn wanted(query: &str) -> HashMap<String, f64> {
    let own: HashSet<String> = stems(query).into_iter().collect();
    let mut wanted: HashMap<String, f64> = HashMap::new();
    for line in MEANINGS.lines().filter(|line| !line.starts_with('#')) {
        let line = stems(line);
        if line.iter().any(|stem| own.contains(stem)) {
            wanted.extend(line.into_iter().map(|stem| (stem, SAME_MEANING)));
        }
    }
    wanted.extend(own.into_iter().map(|stem| (stem, 1.0)));
    wanted
}

fn stems(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric() && letter != '_').flat_map(|word| {
        // `stoch_rsi` is found by both of its words, too.
        let parts = word.contains('_').then(|| word.split('_')).into_iter().flatten();
        std::iter::once(word).chain(parts)
    });
    words.filter(|word| word.len() > 1 && !STOP.split_whitespace().any(|stop| stop == *word)).map(stem).collect()
}

/// Cuts off English endings. Coarse on purpose: it only has to treat both sides alike.
fn stem(word: &str) -> String {
    let endings = [("ies", 3), ("ings", 3), ("ing", 3), ("ed", 3), ("es", 4), ("s", 3), ("ly", 4)];
    let cut = endings
        .into_iter()
        .find_map(|(ending, rest)| word.strip_suffix(ending).filter(|left| left.len() >= rest && word.is_ascii()));
    let cut = cut.filter(|left| !(word.ends_with('s') && left.ends_with(['s', 'u']))).unwrap_or(word);
    let cut = if cut.len() > 3 { cut.strip_suffix(['e', 'y']).unwrap_or(cut) } else { cut };
    let bytes = cut.as_bytes();
    let doubled = word.is_ascii()
        && bytes.len() > 3
        && bytes[bytes.len() - 1] == bytes[bytes.len() - 2]
        && !cut.ends_with(['s', 'l']);
    cut[..cut.len() - usize::from(doubled)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            ["trade", "trades", "trading"],
            ["stop", "stops", "stopped"],
            ["strategy", "strategies", "strategy"],
            ["fit", "fits", "fitting"],
        ] {
            assert!(forms.iter().all(|form| stem(form) == stem(forms[0])), "{forms:?}: {:?}", forms.map(stem));
        }
        assert_eq!(stem("ë"), "ë");
    }
}
