//! A small MCP client of revision 2026-07-28: one request, one answer.

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// A container and a token for it.
#[derive(Debug, Clone)]
pub struct McpClient {
    http: Client,
    url: String,
    token: String,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Its JSON.
    pub value: Value,
    /// It did not do what was asked.
    pub refused: bool,
}

impl McpClient {
    /// A client; the TLS provider must have been chosen.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self { http: Client::new(), url: url.to_owned(), token: token.to_owned() }
    }

    /// The request of a call, for a test that changes it.
    pub fn request(&self, tool: &str, arguments: &Value) -> RequestBuilder {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "testkit", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        self.http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// If the connection ends before the answer.
    ///
    /// # Panics
    /// If the answer is not one.
    pub async fn call(&self, tool: &str, arguments: Value) -> reqwest::Result<Called> {
        let response: Response = self.request(tool, &arguments).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        assert_eq!(status, StatusCode::OK, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let result = &answer["result"];
        let told = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{tool}: {answer}"));
        let value = serde_json::from_str(told).unwrap_or_else(|error| panic!("{tool}: {error}: {told}"));
        Ok(Called { value, refused: result["isError"] == json!(true) })
    }

    /// Calls a tool that must do what is asked.
    ///
    /// # Panics
    /// If it does not.
    pub async fn done(&self, tool: &str, arguments: Value) -> Value {
        let called = self.call(tool, arguments).await.expect("the container answers");
        assert!(!called.refused, "{tool}: {}", called.value);
        called.value
    }
}
