//! Answers that run the user's Python: a block of code in the message.

use crate::outcome::fenced;
use crate::step::{Step, ask};
use crate::turn::Turn;
use serde_json::{Value, json};

/// Characters of output that are shown; the row of the call has all.
const SHOWN_CHARS: usize = 4000;

/// The code of the first fenced block.
pub(crate) fn fenced_code(said: &str) -> Option<&str> {
    let open = said.find("```")?;
    let rest = said.get(open + 3..)?;
    // The rest of the fence's own line is the language.
    let (language, body) = rest.split_once('\n')?;
    let language = language.trim().to_ascii_lowercase();
    if !["", "python", "py", "python3"].contains(&language.as_str()) {
        return None;
    }
    let code = body.split("```").next()?.trim_end();
    (!code.trim().is_empty()).then_some(code)
}

/// The step for a block of code.
pub(crate) fn step(turn: &Turn<'_>) -> Step {
    let Some(code) = fenced_code(turn.said) else { return Step::say("Send the code in a code block, please.") };
    ask(turn, "run_python", json!({ "code": code })).map_or_else(|step| step, ran)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\n… (cut)", &text[..at]),
    }
}

fn ran(outcome: &Value) -> Step {
    let block =
        |title: &str, text: &str| (!text.trim().is_empty()).then(|| format!("{title}\n\n{}", fenced("", &cut(text))));
    let result = match &outcome["result"] {
        Value::Null => None,
        Value::String(text) => block("Result:", text),
        value => block("Result:", &value.to_string()),
    };
    let output = outcome["stdout"].as_str().and_then(|text| block("Output:", text));
    let errors = outcome["stderr"].as_str().and_then(|text| block("On stderr:", text));
    let said: Vec<String> = [result, output, errors].into_iter().flatten().collect();
    if said.is_empty() { Step::say("It ran to its end and printed nothing.") } else { Step::Say(said.join("\n\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_is_the_code() {
        assert_eq!(fenced_code("run\n```python\nprint(1)\n```\nand\n```\n2\n```"), Some("print(1)"));
        assert_eq!(fenced_code("```\n1 + 1"), Some("1 + 1"));
        assert_eq!(fenced_code("```rust\nfn x() {}\n```"), None);
        assert_eq!(fenced_code("``` ```"), None);
        assert_eq!(fenced_code("no code"), None);
    }
}
