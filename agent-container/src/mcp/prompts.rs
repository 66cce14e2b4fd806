//! Prompts: things a person often wants, as buttons of their client.

use rmcp::model::{ErrorData, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role};

/// Bytes of an argument.
const ARGUMENT_BYTES: usize = 2000;

struct Template {
    name: &'static str,
    description: &'static str,
    /// Its one argument and what it means.
    argument: (&'static str, &'static str),
    /// `{}` is the argument.
    text: &'static str,
}

const TEMPLATES: [Template; 3] = [
    Template {
        name: "write_strategy",
        description: "Write a strategy from an idea, test it, and say honestly how good it is",
        argument: ("idea", "What it shall do, in your words"),
        text: "Write a strategy for this idea: {}\nSave it with write_strategy, run run_backtest on at least a month of data with fees, \
               then tell me return, drawdown, Sharpe, number of trades, the benchmark and what the look-ahead check found. Say what \
               speaks against it.",
    },
    Template {
        name: "review_backtest",
        description: "Judge a backtest like a sceptic",
        argument: ("id", "Id of the backtest"),
        text: "Read the backtest {} with read_backtest. Would you risk money on it? Look at the number of trades, fees, the longest \
               drawdown, the checks, and how it compares with holding. Name the three most likely ways in which it fools me.",
    },
    Template {
        name: "brief_me",
        description: "What matters on my watch list now",
        argument: ("watchlist", "Name of the watch list"),
        text: "Read the watch list {} with get_watchlist, my profile and my journal. Tell me in ten lines what I wanted to watch and \
               what I said I would do. Do not invent prices: if you have no tool for them, say so.",
    },
];

/// All prompts.
pub(crate) fn all() -> Vec<Prompt> {
    let prompt = |it: &Template| {
        let (name, meaning) = it.argument;
        let argument = PromptArgument::new(name).with_description(meaning).with_required(true);
        Prompt::new(it.name, Some(it.description), Some(vec![argument]))
    };
    TEMPLATES.iter().map(prompt).collect()
}

/// A prompt with its argument filled in.
///
/// # Errors
/// If there is no such prompt, or its argument is missing or too long.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let refuse = |message: String| ErrorData::invalid_params(message, None);
    let template = TEMPLATES.iter().find(|it| it.name == request.name);
    let template = template.ok_or_else(|| refuse(format!("no such prompt: {:.64}", request.name)))?;
    let (name, _) = template.argument;
    let value = request.arguments.as_ref().and_then(|given| given.get(name)).and_then(|value| value.as_str());
    let value = value.ok_or_else(|| refuse(format!("{name}: missing, or not a text")))?;
    if value.len() > ARGUMENT_BYTES {
        return Err(refuse(format!("{name}: at most {ARGUMENT_BYTES} bytes, got {}", value.len())));
    }
    let text = template.text.replacen("{}", value, 1);
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(template.description))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(name: &str, arguments: serde_json::Value) -> Result<GetPromptResult, ErrorData> {
        let mut request = GetPromptRequestParams::new(name);
        request.arguments = arguments.as_object().cloned();
        get(&request)
    }

    #[test]
    fn an_argument_is_filled_in_once_and_never_read_as_a_template() {
        let prompt = ask("review_backtest", json!({"id": "{} 42"})).unwrap();
        let text = serde_json::to_string(&prompt.messages[0]).unwrap();
        assert!(text.contains("backtest {} 42 with"), "{text}");
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused_by_name() {
        assert!(ask("nope", json!({})).unwrap_err().message.contains("nope"));
        assert!(ask("brief_me", json!({})).unwrap_err().message.contains("watchlist"));
        let long = "x".repeat(ARGUMENT_BYTES + 1);
        assert!(ask("brief_me", json!({"watchlist": long})).unwrap_err().message.contains("2000"));
    }
}
