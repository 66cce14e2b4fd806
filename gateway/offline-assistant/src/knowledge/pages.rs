//! The pages of the platform, built into the program.

use super::Page;

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each page.
        const PAGES: &[(&str, &str)] = &[$((concat!("knowledge/", $name), include_str!(concat!("../../../knowledge/", $name)))),*];
    };
}

pages![
    "platform.md",
    "trading-concepts.md",
    "strategy-patterns.md",
    "indicators.md",
    "reading-a-backtest.md",
    "risk.md",
    "look-ahead-and-overfitting.md",
    "strategy-api.md",
];

/// The pages of everybody: load them for [`Owner::Everyone`](super::Owner::Everyone) at each start.
#[must_use]
pub fn pages() -> Vec<Page> {
    PAGES.iter().map(|(source, text)| Page { source: (*source).to_owned(), text: (*text).to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_page_of_the_directory_is_built_in_and_has_headings() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../knowledge");
        let mut there: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| format!("knowledge/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        let mut built: Vec<String> = pages().into_iter().map(|page| page.source).collect();
        there.sort();
        built.sort();
        assert_eq!(there, built);
        for page in pages() {
            let sections = super::super::sections(&page.text);
            assert!(page.text.starts_with("# ") && sections.len() >= 5, "{}", page.source);
            assert!(
                (40..=150).contains(&page.text.lines().count()),
                "{}: {} lines",
                page.source,
                page.text.lines().count()
            );
        }
    }
}
