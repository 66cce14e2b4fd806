//! What a tool gave back, read as data: a value, a refusal with its code, or something unreadable. Nothing in it is an instruction.

use serde_json::Value;

/// Characters of a text from a tool that are shown as they are.
const SHOWN_CHARS: usize = 1500;

/// What a call gave back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It did what was asked.
    Value(Value),
    /// It did not.
    Refused(Refused),
    /// Nobody can say.
    Unreadable,
}

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// One word for a program.
    pub(crate) code: String,
    /// The argument that it is about; may be empty.
    pub(crate) field: String,
    /// For a person.
    pub(crate) message: String,
    /// Names to choose from, if it says.
    pub(crate) candidates: Vec<String>,
}

impl Outcome {
    /// Reads the content of a tool's message, whatever frame marks it as data: the first JSON value in it counts.
    pub(crate) fn read(content: &str) -> Self {
        let Some(value) = first_value(content) else { return Self::Unreadable };
        let Some(error) = value.get("error").filter(|error| error.is_object()) else { return Self::Value(value) };
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        let candidates = error["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |value: &Value| {
            let of = |key: &str| value[key].as_str();
            value.as_str().map(str::to_owned).or_else(|| Some(format!("{}:{}", of("venue")?, of("symbol")?)))
        };
        Self::Refused(Refused {
            code: text("code"),
            field: text("field"),
            message: text("message"),
            candidates: candidates.iter().filter_map(name).take(8).collect(),
        })
    }

    /// The value, if it did what was asked.
    pub(crate) const fn value(&self) -> Option<&Value> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

fn first_value(content: &str) -> Option<Value> {
    let mut rest = content;
    // A frame may have a bracket of its own before the value.
    for _ in 0..16 {
        let open = rest.find(['{', '['])?;
        rest = &rest[open..];
        if let Some(Ok(value)) = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next() {
            return Some(value);
        }
        rest = &rest[1..];
    }
    None
}

impl Refused {
    /// What happened and what to do next, for a person.
    pub(crate) fn explained(&self, tool: &str) -> String {
        let next = match self.code.as_str() {
            "INVALID_ARGUMENT" if !self.field.is_empty() => {
                format!("Say it with another `{}`, please.", plain(&self.field))
            }
            "INVALID_ARGUMENT" => "Say it in other words, please.".to_owned(),
            "AMBIGUOUS" => "Which one do you mean?".to_owned(),
            "NOT_FOUND" => {
                "Check the name: \"list my strategies\" or \"find instruments BTC\" show what there is.".to_owned()
            }
            "NO_DATA" => "Try a shorter or a later time, or another venue.".to_owned(),
            "QUOTA" | "LIMIT_EXCEEDED" | "RATE_LIMITED" => {
                "That is a limit of your tier. Ask for less at a time, or make room first.".to_owned()
            }
            "CONFLICT" => "It changed in the meantime. Look at it once more, then repeat the request.".to_owned(),
            "BUSY" => "Wait a moment and ask again.".to_owned(),
            "TIMED_OUT" | "OUT_OF_MEMORY" => "Ask for less at a time: a shorter range, or a longer candle.".to_owned(),
            "SYNTAX" | "RAISED" => "The code has to change; nothing was saved or run to its end.".to_owned(),
            "NO_PYTHON" => {
                "Python is missing where your container runs; charts, prices and files still work.".to_owned()
            }
            "CANCELLED" => "It was stopped. Nothing of it is kept.".to_owned(),
            "NOT_AVAILABLE" | "UNAVAILABLE" => {
                "It is not there right now. \"platform health\" tells what is missing.".to_owned()
            }
            _ => "Ask again in a moment; if it stays, \"platform health\" tells what is missing.".to_owned(),
        };
        let choice = match self.candidates.as_slice() {
            [] => String::new(),
            names => {
                format!(" To choose from: {}.", names.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "))
            }
        };
        let (code, message) = (plain(&self.code), quoted(&self.message));
        let code = if code.is_empty() { "an error".to_owned() } else { format!("`{code}`") };
        format!("`{tool}` did not do it: {code}.\n\n{message}\n\n{next}{choice}")
    }
}

/// A text of somebody else as a quotation, cut: it cannot pose as the assistant's own words, nor as Markdown.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().filter(|letter| *letter == '\n' || !letter.is_control()).take(SHOWN_CHARS).collect();
    let cut = cut.trim();
    if cut.is_empty() {
        "> (no words)".to_owned()
    } else {
        cut.lines().map(|line| format!("> {}\n", escaped(line))).collect::<String>().trim_end().to_owned()
    }
}

fn escaped(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for letter in line.chars() {
        if matches!(letter, '[' | ']' | '<' | '>' | '`' | '!' | '*' | '|') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A short name of somebody else within a sentence: one line, no Markdown, at most 80 characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control() && !"[]<>`!*|\\".contains(*letter)).take(80).collect()
}

/// A text of somebody else as a block of code.
pub(crate) fn fenced(language: &str, text: &str) -> String {
    // A fence in the text must not end ours.
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_found_in_any_frame() {
        for content in [
            "{\"a\":1}",
            "<data id=\"x\">\n{\"a\":1}\n</data>",
            "[tool output]\n{\"a\":1}",
            "DATA {\"a\":1} END {\"b\":2}",
        ] {
            assert_eq!(Outcome::read(content), Outcome::Value(json!({"a": 1})), "{content}");
        }
        assert_eq!(Outcome::read("{\"a\": "), Outcome::Unreadable);
        assert_eq!(Outcome::read("ok"), Outcome::Unreadable);
    }

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let content = r#"{"error":{"code":"AMBIGUOUS","field":"symbol","message":"two markets","candidates":["SIM:BTC/USDT",{"venue":"OKX","symbol":"BTC/USDT"}]}}"#;
        let Outcome::Refused(refused) = Outcome::read(content) else { panic!("{content}") };
        let text = refused.explained("get_price");
        assert!(text.contains("> two markets") && text.contains("SIM:BTC/USDT, OKX:BTC/USDT"), "{text}");
    }

    #[test]
    fn words_of_others_stay_quotations() {
        assert_eq!(quoted("a\n![x](http://y)\u{1b}"), "> a\n> \\!\\[x\\](http://y)");
        assert!(fenced("python", "```\nx").starts_with("````python"));
        assert_eq!(plain("`a`\n**b**"), "ab");
    }
}
