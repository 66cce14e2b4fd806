//! What a file says of itself in one line.

use super::names::Kind;

/// Longest line that is returned, in characters.
const ABOUT_CHARS_MAX: usize = 120;

/// The first line of the docstring of a Python file, or the first line of a text. None for JSON.
pub(super) fn about(kind: Kind, content: &str) -> Option<String> {
    let line = match kind.extension() {
        ".py" => docstring_line(content)?,
        ".md" => content.lines().map(|line| line.trim_start_matches('#').trim()).find(|line| !line.is_empty())?,
        _ => return None,
    };
    Some(line.chars().filter(|character| !character.is_control()).take(ABOUT_CHARS_MAX).collect())
}

fn docstring_line(source: &str) -> Option<&str> {
    let mut rest = source.trim_start_matches('\u{feff}').trim_start();
    while rest.starts_with('#') {
        rest = rest.split_once('\n')?.1.trim_start();
    }
    let rest = rest.trim_start_matches(['r', 'R', 'u', 'U']);
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote))?;
    let body = rest.strip_prefix(quote)?;
    let body = body.split_once(quote).map_or(body, |(body, _)| body);
    body.lines().map(str::trim).find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::about;
    use crate::workspace::Kind;

    #[test]
    fn the_first_line_of_a_docstring_is_found() {
        let cases = [
            ("\"\"\"Cross of two averages.\n\nMore.\"\"\"\n", Some("Cross of two averages.")),
            ("# licence\n\n'''\n  Mean reversion.\n'''", Some("Mean reversion.")),
            ("#!/usr/bin/python\nr\"One line\"\nx = 1", Some("One line")),
            ("x = '''no docstring'''", None),
            ("", None),
            ("# only a comment", None),
            ("\"\"\"\"\"\"", None),
        ];
        for (source, expected) in cases {
            assert_eq!(about(Kind::Strategy, source).as_deref(), expected, "{source:?}");
        }
        assert_eq!(about(Kind::Journal, "\n# Monday\ntext").as_deref(), Some("Monday"));
        assert_eq!(about(Kind::Watchlist, "[]"), None);
    }
}
