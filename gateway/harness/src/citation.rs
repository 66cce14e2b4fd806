//! Which numbers of an answer stand in which outcome. Pure.
//!
//! A number of the answer stands in an outcome if some number there, rounded to the digits shown, is the same: 61 837.63 stands in
//! `61837.6271`, and 4.2 % in `0.0423`. Signs are not compared ("down 3 %" for `-3.0`). Numbers that the user gave, dates, times, list
//! numbers and code are no claims of the model and are left out.

use crate::event::Citation;

/// Most numbers of an answer that are looked at.
const MOST: usize = 500;
/// Most numbers of all outcomes that are kept.
const SOURCES: usize = 200_000;
/// Decimal places that are compared.
const SCALE: u32 = 18;

/// A number as it stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    at: usize,
    end: usize,
    /// Without sign, times 10^18.
    value: i128,
    decimals: u32,
    percent: bool,
}

/// Cites the numbers of `text`; `outcomes` are call ids and what the calls gave back, in order.
pub(crate) fn cite<'a>(text: &str, user: &str, outcomes: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Citation> {
    let mut ids = Vec::new();
    let mut sources: Vec<(i128, usize)> = Vec::new();
    for (id, content) in outcomes {
        let room = SOURCES - sources.len();
        sources.extend(numbers(content, Reading::Data).take(room).map(|found| (found.value, ids.len())));
        ids.push(id);
    }
    sources.sort_unstable();
    let said: Vec<i128> = numbers(user, Reading::Data).take(MOST).map(|found| found.value).collect();
    let citation = |found: Found| {
        let call = source_of(&sources, &found);
        if call.is_none() && said.contains(&found.value) {
            return None;
        }
        let call_id = call.map(|index| ids[index].to_owned());
        Some(Citation { number: text[found.at..found.end].to_owned(), at: found.at, call_id })
    };
    numbers(text, Reading::Answer).take(MOST).filter_map(citation).collect()
}

/// The latest call with this number.
fn source_of(sources: &[(i128, usize)], found: &Found) -> Option<usize> {
    let half = 10_i128.pow(SCALE - found.decimals.min(SCALE)) / 2;
    let within = |value: i128, half: i128| {
        let first = sources.partition_point(|(source, _)| *source < value.saturating_sub(half));
        let close = sources[first..].iter().take_while(move |(source, _)| *source <= value.saturating_add(half));
        close.map(|(_, call)| *call).max()
    };
    let as_shown = within(found.value, half);
    if as_shown.is_some() || !found.percent {
        return as_shown;
    }
    within(found.value / 100, half / 100)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What a model said: dates, list numbers and code are left out.
    Answer,
    /// Everything that looks like a number.
    Data,
}

fn numbers(text: &str, reading: Reading) -> impl Iterator<Item = Found> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let bytes = text.as_bytes();
            if reading == Reading::Answer && bytes[at] == b'`' {
                at = behind_code(text, at);
                continue;
            }
            if !bytes[at].is_ascii_digit() || in_word(text, at) {
                at += 1;
                continue;
            }
            if reading == Reading::Answer
                && let Some(end) = behind_no_claim(text, at)
            {
                at = end;
                continue;
            }
            let found = number_at(text, at, reading);
            at = found.map_or(at + 1, |found| found.end);
            // A number with too many digits is skipped as a whole.
            while found.is_none() && text.as_bytes().get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if found.is_some() {
                return found;
            }
        }
        None
    })
}

/// True if a letter, digit or underscore stands before.
fn in_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Behind inline code or a fence; behind the sign itself if it is not closed.
fn behind_code(text: &str, at: usize) -> usize {
    let fence = text[at..].bytes().take_while(|byte| *byte == b'`').count();
    let sign = &text[at..at + fence];
    text[at + fence..].find(sign).map_or(at + fence, |end| at + 2 * fence + end)
}

/// The end of a date, a time or a list number that begins here.
fn behind_no_claim(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let line_start = text[..at].rfind('\n').map_or(0, |it| it + 1);
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = &text[at + digits..];
    if text[line_start..at].trim().is_empty() && (behind.starts_with(". ") || behind.starts_with(") ")) {
        return Some(at + digits);
    }
    let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit() || b"-:TZ".contains(byte)).count();
    let run_text = &text[at..at + run];
    let is_time = run_text.split(':').nth(1).is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    let is_date = digits == 4 && run_text.splitn(3, '-').count() == 3;
    (is_time || is_date).then_some(at + run)
}

/// Reads a number with thousands separators in an answer, with an exponent in data.
fn number_at(text: &str, at: usize, reading: Reading) -> Option<Found> {
    let bytes = text.as_bytes();
    let mut digits: i128 = 0;
    let mut end = at;
    let mut push = |digit: u8| -> Option<()> {
        let more = digits * 10 + i128::from(digit - b'0');
        let fits = more < 10_i128.pow(19);
        if fits {
            digits = more;
        }
        fits.then_some(())
    };
    while let Some(&byte) = bytes.get(end) {
        if byte.is_ascii_digit() {
            push(byte)?;
            end += 1;
        } else if let Some(width) = separator(text, at, end) {
            end += width;
        } else {
            break;
        }
    }
    let mut decimals = 0;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1;
        while let Some(digit) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
            // Digits behind the 18th are cut: nothing is shown with so many.
            if decimals < SCALE && push(*digit).is_some() {
                decimals += 1;
            }
            end += 1;
        }
    }
    let mut value = digits.checked_mul(10_i128.pow(SCALE - decimals))?;
    if reading == Reading::Data && matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = bytes.get(end + 1).filter(|byte| b"+-".contains(byte));
        let start = end + 1 + usize::from(sign.is_some());
        let length = bytes[start.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length > 0 {
            let exponent: u32 = text[start..start + length].parse().ok()?;
            let power = 10_i128.checked_pow(exponent)?;
            value = if sign == Some(&b'-') { value / power } else { value.checked_mul(power)? };
            end = start + length;
        }
    }
    let percent = text[end..].trim_start_matches([' ', '\u{a0}', '\u{202f}']).starts_with('%');
    Some(Found { at, end, value, decimals, percent })
}

/// The width of a thousands separator between digits at `end`: one to three digits before the first, three behind each.
fn separator(text: &str, at: usize, end: usize) -> Option<usize> {
    let sign = text[end..]
        .chars()
        .next()
        .filter(|c| matches!(c, ',' | '\'' | '’' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'))?;
    let head = text[at..end].chars().next_back().is_some_and(|c| c.is_ascii_digit());
    let group = text[at..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    let first = group == end - at;
    let behind = &text.as_bytes()[end + sign.len_utf8()..];
    let three = behind.len() >= 3
        && behind[..3].iter().all(u8::is_ascii_digit)
        && !behind.get(3).is_some_and(u8::is_ascii_digit);
    let fits = head && three && if first { matches!(group, 1..=3) } else { group == 3 };
    fits.then_some(sign.len_utf8())
}

#[cfg(test)]
#[path = "citation/tests.rs"]
mod tests;
