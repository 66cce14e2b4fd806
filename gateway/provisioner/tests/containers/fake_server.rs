//! A container's MCP server (revision 2026-07-28) that can misbehave, and a provisioner that gives it out.

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use proto::UserId;
use provisioner::{ContainerState, Endpoint, Ensured, Erased, EventKey, How, Phase, ProvisionError, Provisioner, Tier};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// What happened at the server.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Calls by tool, and reads by URI.
    pub(crate) counts: Mutex<BTreeMap<String, u64>>,
    /// Headers of every request.
    pub(crate) headers: Mutex<Vec<HeaderMap>>,
    /// Command ids of calls that were carried out.
    pub(crate) carried_out: Mutex<Vec<Value>>,
    /// Calls whose caller went away before their end.
    pub(crate) abandoned: AtomicU64,
    /// Refuse so many requests with 401.
    pub(crate) deny: AtomicU64,
    /// Streams that are open.
    pub(crate) streams: AtomicU64,
    updates: broadcast::Sender<Value>,
}

impl Seen {
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn add(&self, what: &str) -> u64 {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(what.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Tells whoever follows.
    pub(crate) fn notify(&self, method: &str, params: Value) {
        self.updates.send(json!({"method": method, "params": params})).unwrap();
    }
}

/// Notes when a stream goes before it has ended.
struct Abandoned(Arc<Seen>, bool);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) async fn start() -> (Arc<Seen>, String) {
    let seen = Arc::new(Seen {
        counts: Mutex::default(),
        headers: Mutex::default(),
        carried_out: Mutex::default(),
        abandoned: AtomicU64::new(0),
        deny: AtomicU64::new(0),
        streams: AtomicU64::new(0),
        updates: broadcast::Sender::new(64),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = Router::new().route("/mcp", any(serve)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (seen, url)
}

async fn serve(State(seen): State<Arc<Seen>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    seen.headers.lock().unwrap().push(parts.headers.clone());
    if seen.deny.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer resource_metadata=\"http://secret.internal/\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "no").into_response();
    }
    let body: Bytes = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    if parts.method == "GET" {
        return sse(events(&seen, json!(0), Duration::from_millis(20), u64::MAX));
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (id, params) = (message["id"].clone(), &message["params"]);
    match message["method"].as_str().unwrap_or_default() {
        "server/discover" => answer(
            &id,
            json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {}, "resources": {"subscribe": true}},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}},
            }),
        ),
        "tools/list" => {
            seen.add("tools/list");
            answer(&id, json!({"resultType": "complete", "tools": tools(), "ttlMs": 0, "cacheScope": "private"}))
        }
        "resources/read" => {
            let uri = params["uri"].as_str().unwrap();
            let count = seen.add(uri);
            let contents = json!([{"uri": uri, "mimeType": "text/plain", "text": format!("read {count}")}]);
            answer(&id, json!({"resultType": "complete", "contents": contents, "ttlMs": 0, "cacheScope": "private"}))
        }
        "subscriptions/listen" => listen(&seen, &id, params),
        "tools/call" => call(&seen, &id, params),
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"code": {"type": "string"}}});
    let command =
        json!({"type": "object", "properties": {"code": {"type": "string"}, "command_id": {"type": "string"}}});
    let hints = |read_only: bool| json!({"readOnlyHint": read_only, "destructiveHint": false, "openWorldHint": false});
    json!([
        {"name": "echo", "description": "Says it again.", "inputSchema": schema, "annotations": hints(true)},
        {"name": "write_strategy", "description": "Saves.", "inputSchema": command, "annotations": hints(false)},
        {"name": "run_python", "description": "Runs.", "inputSchema": schema, "annotations": hints(false)},
    ])
}

fn answer(id: &Value, result: Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

fn told(id: &Value, text: Value) -> Value {
    let content = json!([{"type": "text", "text": text.to_string()}]);
    json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": content, "isError": false}})
}

fn sse(events: BoxStream<'static, Value>) -> Response {
    let body = events.map(|event| Ok::<_, Infallible>(format!("data: {event}\n\n")));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// Progress, so many times.
fn events(seen: &Arc<Seen>, token: Value, every: Duration, times: u64) -> BoxStream<'static, Value> {
    seen.streams.fetch_add(1, Ordering::SeqCst);
    let guard = Abandoned(Arc::clone(seen), false);
    let ticks = tokio::time::interval(every);
    stream::unfold((guard, ticks, 0), move |(mut guard, mut ticks, done)| {
        let token = token.clone();
        async move {
            if done == times {
                guard.1 = true;
                drop(guard);
                return None;
            }
            ticks.tick().await;
            let params = json!({"progressToken": token, "progress": done + 1, "total": 3, "message": "working"});
            let event = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            Some((event, (guard, ticks, done + 1)))
        }
    })
    .boxed()
}

fn listen(seen: &Arc<Seen>, id: &Value, params: &Value) -> Response {
    let subscription = json!({"io.modelcontextprotocol/subscriptionId": id});
    let ack = json!({
        "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": subscription, "notifications": params["notifications"]},
    });
    seen.add("listen");
    let updates = stream::unfold(seen.updates.subscribe(), move |mut updates| {
        let subscription = subscription.clone();
        async move {
            let mut update = updates.recv().await.ok()?;
            if update["method"] == "end" {
                return None;
            }
            update["jsonrpc"] = "2.0".into();
            update["params"]["_meta"] = subscription;
            Some((update, updates))
        }
    });
    sse(stream::iter([ack]).chain(updates).boxed())
}

fn call(seen: &Arc<Seen>, id: &Value, params: &Value) -> Response {
    let name = params["name"].as_str().unwrap_or_default();
    let how = params["arguments"]["code"].as_str().unwrap_or_default().to_owned();
    let count = seen.add(&how);
    let done = |seen: &Seen| seen.carried_out.lock().unwrap().push(params["arguments"]["command_id"].clone());
    match how.as_str() {
        "busy once" if count == 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "asleep once" if count == 1 => {
            let error = json!({"code": -32603, "message": "late", "data": {"code": "ASLEEP"}});
            axum::Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response()
        }
        // Carried out, but nobody hears of it.
        "lost once" if count == 1 => {
            done(seen);
            sse(stream::empty().boxed())
        }
        "wrong" => {
            let error = json!({"code": -32602, "message": "no such thing"});
            axum::Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response()
        }
        "long" | "three" => {
            let times = if how == "long" { u64::MAX } else { 3 };
            let token = params["_meta"]["progressToken"].clone();
            let last = told(id, json!({"done": true}));
            sse(events(seen, token, Duration::from_millis(20), times).chain(stream::iter([last])).boxed())
        }
        "silent" => sse(stream::pending().boxed()),
        "pictures" => {
            let picture = |size: usize| json!({"type": "image", "mimeType": "image/png", "data": "A".repeat(size)});
            let content = json!([{"type": "text", "text": "{}"}, picture(8), picture(4 << 20), picture(12)]);
            answer(id, json!({"resultType": "complete", "content": content, "isError": false}))
        }
        "refuse" => {
            let text =
                json!({"error": {"code": "NOT_FOUND", "field": "name", "message": "no such file\nreally"}}).to_string();
            answer(id, json!({"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": true}))
        }
        _ => {
            done(seen);
            let told_of =
                json!({"tool": name, "arguments": params["arguments"], "traceparent": params["_meta"]["traceparent"]});
            axum::Json(told(id, told_of)).into_response()
        }
    }
}

/// Gives out one server for everybody.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) url: Mutex<String>,
    pub(crate) instance: AtomicU64,
    pub(crate) suspected: Mutex<Vec<String>>,
    pub(crate) asleep: AtomicBool,
    pub(crate) ensured: AtomicU64,
}

impl Given {
    pub(crate) fn new(url: &str) -> Arc<Self> {
        Arc::new(Self {
            url: Mutex::new(url.to_owned()),
            instance: AtomicU64::new(1),
            suspected: Mutex::default(),
            asleep: AtomicBool::new(false),
            ensured: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl Provisioner for Given {
    async fn ensure(&self, owner: UserId, tier: Tier) -> Result<Ensured, ProvisionError> {
        self.ensured.fetch_add(1, Ordering::SeqCst);
        let woken = self.asleep.swap(false, Ordering::SeqCst);
        let endpoint = Endpoint {
            mcp_url: self.url.lock().unwrap().as_str().into(),
            events: None,
            admin: None,
            instance: format!("i{}", self.instance.load(Ordering::SeqCst)).into(),
            audience: format!("http://containers/{owner}/mcp").into(),
            tier,
        };
        Ok(Ensured { endpoint, how: if woken { How::Woken } else { How::Reused } })
    }

    async fn state(&self, owner: UserId) -> ContainerState {
        let state = if self.asleep.load(Ordering::SeqCst) { Phase::Asleep } else { Phase::Ready };
        ContainerState { owner, state, tier: None, since_ns: 0, message: String::new() }
    }

    fn suspect(&self, _owner: UserId, instance: &str) {
        self.suspected.lock().unwrap().push(instance.to_owned());
    }

    async fn stop(&self, _owner: UserId) -> Result<(), ProvisionError> {
        Ok(())
    }

    async fn erase(&self, _owner: UserId) -> Result<Erased, ProvisionError> {
        Ok(Erased::default())
    }

    async fn list(&self) -> Result<Vec<ContainerState>, ProvisionError> {
        Ok(Vec::new())
    }

    async fn event_key(&self, _owner: UserId) -> Result<Option<EventKey>, ProvisionError> {
        Ok(None)
    }

    async fn shutdown(&self) {}
}
