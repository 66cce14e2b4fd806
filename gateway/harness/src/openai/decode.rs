//! Chunks of chat completions, as providers really send them. Pure.

use crate::model::{Chunk, Finish, ModelError, Usage};
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

type Ready = VecDeque<Result<Chunk, ModelError>>;

/// A chunk, or a whole completion. Everything may be absent or null.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<WireCall>>,
    /// The form before `tool_calls`, which some local servers still use.
    #[serde(default)]
    function_call: Option<Function>,
}

/// A text, or parts of which the texts count.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    text: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct WireCall {
    #[serde(default)]
    index: Option<usize>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    /// A text that is JSON; some send the object itself.
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// What an HTTP status, or an error in its place, says.
pub(super) fn failure(status: u16, retry_after: Option<Duration>, message: String) -> ModelError {
    match status {
        429 | 529 => ModelError::Busy { status, retry_after },
        408 | 425 | 500.. => ModelError::Failed { status },
        _ => ModelError::Refused { status, message },
    }
}

/// The words in an error's body.
pub(super) fn error_message(body: &Value) -> Option<String> {
    let error = body.get("error").unwrap_or(body);
    let text = error.get("message").or_else(|| body.get("message")).or_else(|| body.get("detail")).unwrap_or(error);
    text.as_str().map(str::to_owned)
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Index and id as the provider gave them, by our place.
    calls: Vec<(Option<usize>, Option<String>)>,
    finish: Option<Finish>,
    refused: bool,
    over: bool,
}

impl Decoder {
    /// Takes the data of an event.
    pub(super) fn data(&mut self, data: &[u8], ready: &mut Ready) {
        if self.over {
            return;
        }
        let data = data.trim_ascii();
        if data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            // A provider that says that it is done is done, whatever reason it forgot.
            self.finish.get_or_insert(Finish::Stop);
            return self.end(ready);
        }
        match serde_json::from_slice::<Body>(data) {
            Ok(body) => self.body(body, ready),
            Err(error) => {
                let said = if error.is_eof() { ModelError::Cut } else { ModelError::Malformed(error.to_string()) };
                self.fail(said, ready);
            }
        }
    }

    /// The connection is closed: the end if a reason to stop came, else a cut.
    pub(super) fn end_of_stream(&mut self, ready: &mut Ready) {
        if self.over {
            return;
        }
        if self.finish.is_some() { self.end(ready) } else { self.fail(ModelError::Cut, ready) }
    }

    fn end(&mut self, ready: &mut Ready) {
        self.over = true;
        let finish = if self.refused { Finish::Refused } else { self.finish.unwrap_or(Finish::Stop) };
        ready.push_back(Ok(Chunk::End(finish)));
    }

    fn fail(&mut self, error: ModelError, ready: &mut Ready) {
        self.over = true;
        ready.push_back(Err(error));
    }

    fn body(&mut self, body: Body, ready: &mut Ready) {
        if let Some(error) = body.error.filter(|error| !error.is_null()) {
            let code = ["code", "status"].iter().find_map(|key| error.get(*key)).and_then(|code| {
                code.as_u64().or_else(|| code.as_str()?.parse().ok()).and_then(|code| u16::try_from(code).ok())
            });
            let text = error_message(&error).unwrap_or_else(|| "an error without words".to_owned());
            // An error in the middle of an answer without a code is the provider's failure.
            let status = code.filter(|code| (400..600).contains(code)).unwrap_or(502);
            return self.fail(failure(status, None, crate::prompt::shortened(&text, 300)), ready);
        }
        if let Some(usage) = body.usage {
            ready.push_back(Ok(Chunk::Usage(Usage {
                input_tokens: usage.prompt_tokens.unwrap_or(0),
                cached_tokens: usage.prompt_tokens_details.and_then(|it| it.cached_tokens).unwrap_or(0),
                output_tokens: usage.completion_tokens.unwrap_or(0),
            })));
        }
        // We ask for one choice; what a provider says beside it is not shown.
        for choice in body.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.choice(choice, ready);
        }
    }

    fn choice(&mut self, choice: Choice, ready: &mut Ready) {
        let Delta { content, refusal, tool_calls, function_call } = choice.delta.unwrap_or_default();
        match content {
            Some(Content::Text(text)) => push_text(text, ready),
            Some(Content::Parts(parts)) => {
                let said = parts.into_iter().filter(|part| part.kind.as_deref().is_none_or(|kind| kind == "text"));
                said.filter_map(|part| part.text?.as_str().map(str::to_owned)).for_each(|text| push_text(text, ready));
            }
            Some(Content::Other(_)) | None => {}
        }
        if let Some(refusal) = refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            push_text(refusal, ready);
        }
        for call in tool_calls.into_iter().flatten() {
            self.call(call, ready);
        }
        if let Some(function) = function_call {
            self.call(WireCall { index: Some(0), id: None, function: Some(function) }, ready);
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("error") => self.fail(ModelError::Failed { status: 502 }, ready),
            Some("length" | "max_tokens" | "model_length") => self.finish = Some(Finish::Length),
            Some("tool_calls" | "function_call") => self.finish = Some(Finish::ToolCalls),
            Some("content_filter" | "safety" | "refusal" | "sensitive") => self.finish = Some(Finish::Refused),
            Some(_) => self.finish = Some(Finish::Stop),
        }
    }

    fn call(&mut self, call: WireCall, ready: &mut Ready) {
        let id = call.id.filter(|id| !id.is_empty());
        let Function { name, arguments } = call.function.unwrap_or_default();
        let name = name.filter(|name| !name.is_empty());
        let place = self.place(call.index, id.as_ref(), name.as_ref());
        let arguments = match arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        ready.push_back(Ok(Chunk::Call { index: place, id, name, arguments }));
    }

    /// Which call a piece belongs to. Some providers give no index, and some give each of several calls the index 0.
    fn place(&mut self, index: Option<usize>, id: Option<&String>, name: Option<&String>) -> usize {
        let named = name.is_some();
        let same_id = |known: &Option<String>| id.is_none() || known.is_none() || known.as_ref() == id;
        let found = match index {
            Some(_) => {
                self.calls.iter().rposition(|(known, known_id)| *known == index && (same_id(known_id) || !named))
            }
            None if id.is_some() => self.calls.iter().rposition(|(_, known)| known.as_ref() == id),
            // Without any mark a name begins a call, and all else goes on with the last one.
            None if named => None,
            None => self.calls.len().checked_sub(1),
        };
        found.unwrap_or_else(|| {
            self.calls.push((index, id.cloned()));
            self.calls.len() - 1
        })
    }
}

fn push_text(text: String, ready: &mut Ready) {
    if !text.is_empty() {
        ready.push_back(Ok(Chunk::Text(text)));
    }
}
