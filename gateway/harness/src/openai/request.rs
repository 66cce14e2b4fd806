//! The body of a request.

use crate::model::{Message, Prompt, ToolRequest};
use crate::tool::ToolSpec;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    stream_options: StreamOptions,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    messages: Messages<'a>,
    #[serde(skip_serializing_if = "Tools::is_empty")]
    tools: Tools<'a>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

struct Messages<'a>(&'a Prompt);

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Said<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.messages.len() + 1))?;
        list.serialize_element(&Said::System { content: &self.0.system })?;
        for message in &self.0.messages {
            list.serialize_element(&said(message))?;
        }
        list.end()
    }
}

fn said(message: &Message) -> Said<'_> {
    match message {
        Message::User { text } => Said::User { content: text },
        Message::Tool { call_id, content } => Said::Tool { tool_call_id: call_id, content },
        Message::Assistant { text, calls } => {
            let content = (!text.is_empty() || calls.is_empty()).then_some(text.as_str());
            Said::Assistant { content, tool_calls: calls.iter().map(wire_call).collect() }
        }
    }
}

fn wire_call(call: &ToolRequest) -> Call<'_> {
    let ToolRequest { id, name, arguments } = call;
    // Providers refuse a conversation with broken arguments in it; the refusal that stands behind the call says what was wrong.
    let valid = serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok();
    let arguments = if valid { arguments } else { "{}" };
    Call { id, r#type: "function", function: Called { name, arguments } }
}

struct Tools<'a>(&'a [ToolSpec]);

impl Tools<'_> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Declared<'a>,
}

#[derive(Serialize)]
struct Declared<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a serde_json::Value,
}

fn wire_tool(spec: &ToolSpec) -> Tool<'_> {
    let ToolSpec { name, description, schema, .. } = spec;
    Tool { r#type: "function", function: Declared { name, description, parameters: schema } }
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(wire_tool))
    }
}

/// The request for one streamed answer.
pub(super) fn body(model: &str, prompt: &Prompt, temperature: Option<f32>) -> Vec<u8> {
    let body = Body {
        model,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        max_tokens: prompt.max_output_tokens,
        temperature: prompt.temperature.or(temperature),
        messages: Messages(prompt),
        tools: Tools(&prompt.tools),
    };
    serde_json::to_vec(&body).expect("a prompt has string keys only")
}
