//! The MCP server: who may call, what can be called, and how results look. What the tools do is in [`crate::container`].
//!
//! Both protocol revisions that clients use: 2025-11-25 with sessions (which survive a restart) and 2026-07-28 without. What a
//! tool refuses is a tool error that the model can read (`{"error": {"code", "field", "message"}}`); a protocol error is only
//! what no tool has seen.

pub mod auth;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod progress;
mod prompts;
mod schema;
pub(crate) mod sessions;
pub(crate) mod tools;
pub(crate) mod updates;

use crate::container::{Answer, Container, resources};
use crate::lifecycle::Busy;
use metrics::{CallMetrics, Ended};
use progress::Progress;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, ContentBlock, ErrorData, GetPromptRequestParams, GetPromptResponse, Implementation,
    ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ServerCapabilities, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tools::Call;
use tracing::Instrument;
use updates::Followed;

/// Told to every model that connects.
const INSTRUCTIONS: &str = "The private workspace of one trader: strategies, indicators, backtests, watch lists, journal and \
conversation memory. Read context://system-prompt and context://user-profile first. Nothing here places orders. Pass your \
own command_id to whatever changes something; the same id is carried out once.";

/// Serves one session, or one request of the newer revision. Cheap to make.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    container: Arc<Container>,
    metrics: CallMetrics,
    followed: Followed,
}

impl Handler {
    pub(crate) fn new(container: Arc<Container>, metrics: CallMetrics) -> Self {
        Self { container, metrics, followed: Followed::default() }
    }

    fn begin(&self) -> Result<Busy, ErrorData> {
        // The code tells the caller that nothing was begun: the same request may be sent to the container that is woken.
        let asleep = serde_json::json!({"code": "ASLEEP"});
        self.container.begin().map_err(|error| ErrorData::internal_error(error.to_string(), Some(asleep)))
    }

    fn unknown_resource(uri: &str) -> ErrorData {
        ErrorData::resource_not_found("no such resource", Some(serde_json::json!({ "uri": uri })))
    }
}

/// What the model reads.
fn result(answer: Answer) -> CallToolResult {
    let mut content = vec![ContentBlock::text(answer.text)];
    content.extend(answer.pictures.into_iter().map(|png| ContentBlock::image(png, "image/png")));
    if answer.refused { CallToolResult::error(content) } else { CallToolResult::success(content) }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        let server = Implementation::new("dexorder-agent", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities).with_server_info(server).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let _busy = self.begin()?;
        Ok(ListToolsResult::with_all_items(tools::all().to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::get(name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some((tool, call)) = Call::read(&request.name, request.arguments) else {
            return Err(ErrorData::invalid_params(format!("no such tool: {:.64}", request.name), None));
        };
        let begun = Instant::now();
        let busy = self.begin()?;
        let (progress, reporter) = Progress::of(&context);
        let trace = context.meta.0.get("traceparent").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let user = self.container.config.owner.as_str();
        let span = tracing::info_span!("call", user, tool, traceparent = %trace);
        let answer = match call {
            Err(error) => Some(Answer::refuse("INVALID_ARGUMENT", &error.field, &error.rule)),
            Ok(call) if call.is_long() => {
                let work = self.container.call(call, progress, context.ct.clone());
                reporter.beside(work, &context.ct).instrument(span).await
            }
            // It is carried out whole, also if the caller goes away in the middle of it.
            Ok(call) => {
                let (container, cancel) = (Arc::clone(&self.container), context.ct.clone());
                let whole = async move {
                    // While it goes on, the container neither sleeps nor stops.
                    let _busy = busy;
                    container.call(call, progress, cancel).await
                };
                let work = self.container.tasks.spawn(whole.instrument(span));
                let done = reporter.beside(work, &CancellationToken::new()).await;
                Some(done.and_then(Result::ok).unwrap_or_else(|| Answer::refuse("FAILED", "", "the call ended badly")))
            }
        };
        let ended = match &answer {
            None => Ended::Cancelled,
            Some(answer) if answer.refused => Ended::Refused,
            Some(_) => Ended::Done,
        };
        self.metrics.count(tool, ended, begun.elapsed());
        match answer {
            Some(answer) => Ok(result(answer).into()),
            // Nobody waits for it any more.
            None => Err(ErrorData::internal_error("cancelled", None)),
        }
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let _busy = self.begin()?;
        Ok(ListPromptsResult::with_all_items(prompts::all()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let _busy = self.begin()?;
        prompts::get(&request).map(Into::into)
    }

    // What is not offered is not there; the library would answer with nothing.
    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let _busy = self.begin()?;
        let resource = |(uri, name, description, mime): (&str, &str, &str, &str)| {
            Resource::new(uri, name).with_description(description).with_mime_type(mime)
        };
        Ok(ListResourcesResult::with_all_items(resources::ALL.into_iter().map(resource).collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let _busy = self.begin()?;
        let Some((uri, _, _, mime)) = resources::ALL.into_iter().find(|(uri, ..)| *uri == request.uri) else {
            return Err(Self::unknown_resource(&request.uri));
        };
        let text = self.container.read_resource(uri).await;
        let text = text.map_err(|refusal| ErrorData::internal_error(refusal.to_string(), None))?;
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(mime)]).into())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let known = resources::ALL.iter().map(|(uri, ..)| *uri);
        let all = SubscriptionFilter::builder().resource_subscriptions(known).build();
        Some(requested.intersection(&all))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let followed: Vec<String> = context.accepted().resource_subscriptions.clone().unwrap_or_default();
        let mut updates = self.container.updates.follow();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                update = updates.next() => match update {
                    None => return Ok(()),
                    Some(changed) => {
                        for uri in changed.iter().filter(|uri| followed.iter().any(|it| it == *uri)) {
                            if context.sink().notify_resource_updated(*uri).await.is_err() {
                                return Ok(());
                            }
                        }
                    }
                },
            }
        }
    }

    #[allow(deprecated, reason = "how clients of revision 2025-11-25 subscribe")]
    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let known = resources::ALL.into_iter().find(|(uri, ..)| *uri == request.uri);
        let (uri, ..) = known.ok_or_else(|| Self::unknown_resource(&request.uri))?;
        if self.followed.add(uri) {
            tokio::spawn(self.followed.clone().forward(self.container.updates.follow(), context.peer));
        }
        Ok(())
    }

    #[allow(deprecated, reason = "how clients of revision 2025-11-25 subscribe")]
    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.followed.remove(&request.uri);
        Ok(())
    }
}
