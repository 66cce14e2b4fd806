//! Splits Markdown by heading into pieces that fit into an answer.

/// Longest piece, in bytes; a longer section is split between paragraphs.
const PIECE_BYTES: usize = 1600;

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `Title: heading`.
    pub heading: String,
    /// What stands under it.
    pub text: String,
}

/// The sections of a page in order; those without text are left out.
#[must_use]
pub fn sections(markdown: &str) -> Vec<Section> {
    let mut found = Vec::new();
    let (mut title, mut heading, mut body) = (String::new(), String::new(), String::new());
    let mut fenced = false;
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let is_heading = !fenced && (1..=6).contains(&level) && line.as_bytes().get(level) == Some(&b' ');
        if !is_heading {
            body.push_str(line);
            body.push('\n');
            continue;
        }
        close(&mut found, &title, &heading, &mut body);
        let text = line[level..].trim().to_owned();
        if level == 1 {
            (title, heading) = (text, String::new());
        } else {
            heading = text;
        }
    }
    close(&mut found, &title, &heading, &mut body);
    found
}

fn close(found: &mut Vec<Section>, title: &str, heading: &str, body: &mut String) {
    let heading = match (title, heading) {
        ("", heading) => heading.to_owned(),
        (title, "") => title.to_owned(),
        (title, heading) => format!("{title}: {heading}"),
    };
    let mut piece = String::new();
    for paragraph in body
        .split("\n\n")
        .map(|paragraph| paragraph.trim_start_matches('\n').trim_end())
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        if !piece.is_empty() && piece.len() + paragraph.len() > PIECE_BYTES {
            found.push(Section { heading: heading.clone(), text: std::mem::take(&mut piece) });
        }
        if !piece.is_empty() {
            piece.push_str("\n\n");
        }
        piece.push_str(paragraph);
    }
    if !piece.is_empty() {
        found.push(Section { heading, text: piece });
    }
    body.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_split_by_heading_and_not_within_code() {
        let page =
            "intro\n\n# Title\n\nFirst.\n\n## One\n\ntext\n\n```python\n# no heading\n```\n\n### Two\n\n## Empty\n";
        let found: Vec<(String, String)> = sections(page).into_iter().map(|it| (it.heading, it.text)).collect();
        let expected = [("", "intro"), ("Title", "First."), ("Title: One", "text\n\n```python\n# no heading\n```")];
        assert_eq!(found, expected.map(|(heading, text)| (heading.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_long_section_is_split_between_paragraphs() {
        let page = format!("# T\n\n{}", "word ".repeat(200) + "\n\n" + &"more ".repeat(200) + "\n\n" + "end");
        let found = sections(&page);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|it| it.heading == "T") && found[1].text.ends_with("end"));
    }
}
