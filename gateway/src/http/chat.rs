//! The conversation over HTTP (docs/protocol/12-chat.md §3): messages, turns, their events, stop, and the example prompts.

pub(crate) mod socket;

use crate::error::{ApiError, Code, ErrorBody};
use crate::people::{People, assistant_tier};
use crate::rfc3339::Rfc3339;
use accounts::{AccountError, Caller, Quota, Scope};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use harness::store::StoreError;
use harness::{ConversationId, LookupError, MessageId, NewMessage, SubmitError, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The conversation of a message that names none.
const MAIN: &str = "main";
/// Turns of a page when nobody says how many.
const PAGE: usize = 20;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the turn log could not answer");
        Self::new(Code::Overloaded, "the conversation cannot be reached; try again in a moment")
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Text { .. } => Self::field("text", error.to_string()),
            SubmitError::Full { .. } => Self::new(Code::LimitExceeded, error.to_string()),
            SubmitError::Overloaded { .. } | SubmitError::Stopping => Self::new(Code::Overloaded, error.to_string()),
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Unknown => unknown_turn(),
            LookupError::Store(error) => error.into(),
        }
    }
}

fn unknown_turn() -> ApiError {
    ApiError::new(Code::NotFound, "turn: no such turn").about("turn_id")
}

/// An id that cannot be is as unknown as one that nobody has.
fn turn_id(text: &str) -> Result<TurnId, ApiError> {
    text.parse().map_err(|_| unknown_turn())
}

fn conversation(text: &str) -> Result<ConversationId, ApiError> {
    text.parse().map_err(|error: harness::id::IdError| ApiError::field(error.field, error.to_string()))
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    Ok(query)
}

/// What a route with a caller answers instead.
pub(crate) enum Refused {
    Account(AccountError),
    Api(ApiError),
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Api(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Account(error) => error.into_response(),
            Self::Api(error) => error.into_response(),
        }
    }
}

/// A message for the assistant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageBody {
    /// A ULID minted by the client: the same one is taken once.
    message_id: String,
    /// 1 to 64 of `A-Za-z0-9_-`; `main` if absent.
    #[serde(default)]
    conversation_id: Option<String>,
    /// 1 to 32 768 bytes.
    text: String,
}

/// A message that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TurnBody {
    /// The turn that answers it.
    turn_id: String,
    /// Its conversation.
    conversation_id: String,
    /// It waits for the turns before it.
    queued: bool,
}

/// Sends a message to the assistant.
#[utoipa::path(
    post, path = "/api/v1/chat/messages", tag = "chat", request_body = MessageBody,
    responses(
        (status = 202, description = "Taken; its answer comes as events", body = TurnBody),
        (status = 200, description = "Taken before: the same turn", body = TurnBody),
        (status = 400, description = "A member is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 403, description = "The key has no scope `chat`", body = ErrorBody),
        (status = 429, description = "Too many messages wait, or the quota is used up", body = ErrorBody),
        (status = 503, description = "Try again in a moment", body = ErrorBody),
    )
)]
pub(crate) async fn post_message(
    State(people): State<People>,
    caller: Caller,
    body: Result<Json<MessageBody>, JsonRejection>,
) -> Result<Response, Refused> {
    caller.require(Scope::Chat)?;
    let Json(body) = body.map_err(|error| ApiError::new(Code::Malformed, error.body_text()))?;
    let message_id: MessageId = body
        .message_id
        .parse()
        .map_err(|error: harness::id::IdError| ApiError::field(error.field, error.to_string()))?;
    let conversation = conversation(body.conversation_id.as_deref().unwrap_or(MAIN))?;
    people.accounts.allow(&caller, Quota::Messages).await?;
    people.accounts.allow(&caller, Quota::MessagesOfDay).await?;
    let message =
        NewMessage { message_id, conversation: conversation.clone(), text: body.text, channel: "web".to_owned() };
    let submitted = people.harness.submit(caller.user, assistant_tier(caller.tier), message).await?;
    let status = if submitted.known { StatusCode::OK } else { StatusCode::ACCEPTED };
    let body = TurnBody {
        turn_id: submitted.turn_id.to_string(),
        conversation_id: conversation.to_string(),
        queued: submitted.queued,
    };
    Ok((status, Json(body)).into_response())
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationView {
    id: String,
    /// How it began.
    title: String,
    /// When its newest turn began.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Rfc3339,
    /// The turn that runs or waits first.
    running_turn: Option<String>,
}

/// Conversations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationsBody {
    /// Newest first.
    conversations: Vec<ConversationView>,
}

/// The caller's conversations.
#[utoipa::path(
    get, path = "/api/v1/chat/conversations", tag = "chat",
    responses((status = 200, description = "Newest first", body = ConversationsBody), (status = 401, description = "Not signed in", body = ErrorBody))
)]
pub(crate) async fn conversations(
    State(people): State<People>,
    caller: Caller,
) -> Result<Json<ConversationsBody>, Refused> {
    caller.require(Scope::Chat)?;
    let rows = people.harness.conversations(caller.user).await?;
    let view = |row: harness::store::ConversationRow| ConversationView {
        id: row.id.to_string(),
        title: row.title,
        updated_at: Rfc3339(row.updated_at_ns),
        running_turn: row.running_turn.map(|turn| turn.to_string()),
    };
    Ok(Json(ConversationsBody { conversations: rows.into_iter().map(view).collect() }))
}

/// Which page of turns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    #[serde(default)]
    before: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// A turn in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TurnView {
    turn_id: String,
    conversation_id: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Rfc3339,
    /// It is over.
    ended: bool,
    /// Of its last event so far.
    last_sequence: u64,
}

/// Turns of a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TurnsBody {
    /// Newest first.
    turns: Vec<TurnView>,
    /// `before` of the next page; null at the end.
    next: Option<String>,
}

/// The turns of a conversation.
#[utoipa::path(
    get, path = "/api/v1/chat/conversations/{id}/turns", tag = "chat",
    params(
        ("id" = String, Path, description = "The conversation"),
        ("before" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<usize>, Query, description = "1 to 200, usually 20"),
    ),
    responses(
        (status = 200, description = "Newest first", body = TurnsBody),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
    )
)]
pub(crate) async fn turns(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<TurnsBody>, Refused> {
    caller.require(Scope::Chat)?;
    let page = query(page)?;
    let before = page.before.as_deref().map(turn_id).transpose()?;
    let found = people.harness.turns(caller.user, &conversation(&id)?, before, page.limit.unwrap_or(PAGE)).await?;
    let view = |row: harness::store::TurnRow| TurnView {
        turn_id: row.turn_id.to_string(),
        conversation_id: row.conversation_id.to_string(),
        started_at: Rfc3339(row.started_at_ns),
        ended: row.ended,
        last_sequence: row.last_sequence,
    };
    let turns = found.turns.into_iter().map(view).collect();
    Ok(Json(TurnsBody { turns, next: found.next.map(|turn| turn.to_string()) }))
}

/// Which events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    #[serde(default)]
    after: u64,
}

/// Events of a turn.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsBody {
    /// In order, at most 1 000 (docs/protocol/12-chat.md §4).
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// The turn is over; more may follow all the same if `events` is full.
    ended: bool,
}

/// The events of a turn behind one that is known.
#[utoipa::path(
    get, path = "/api/v1/chat/turns/{id}/events", tag = "chat",
    params(
        ("id" = String, Path, description = "The turn"),
        ("after" = Option<u64>, Query, description = "The last sequence that is known; 0 if absent"),
    ),
    responses(
        (status = 200, description = "In order", body = EventsBody),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such turn", body = ErrorBody),
    )
)]
pub(crate) async fn events(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
    after: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<EventsBody>, Refused> {
    caller.require(Scope::Chat)?;
    let EventsQuery { after } = query(after)?;
    let (events, ended) = people.harness.events(caller.user, turn_id(&id)?, after).await?;
    let events = events.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
    Ok(Json(EventsBody { events, ended }))
}

/// Stops a turn: it ends with the outcome `stopped` within 2 s, and so has what its tools ran.
#[utoipa::path(
    post, path = "/api/v1/chat/turns/{id}/stop", tag = "chat",
    params(("id" = String, Path, description = "The turn")),
    responses(
        (status = 202, description = "It stops, or had ended"),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such turn", body = ErrorBody),
    )
)]
pub(crate) async fn stop(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    caller.require(Scope::Chat)?;
    people.harness.stop(caller.user, turn_id(&id)?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A thing to say, as a button.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromptView {
    #[schema(value_type = String)]
    id: &'static str,
    /// On the button.
    #[schema(value_type = String)]
    label: &'static str,
    /// What is said.
    #[schema(value_type = String)]
    text: &'static str,
}

/// Things to say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromptsBody {
    prompts: Vec<PromptView>,
}

/// The example prompts of the page.
#[utoipa::path(
    get, path = "/api/v1/prompts", tag = "chat",
    responses((status = 200, description = "In the order of the page", body = PromptsBody))
)]
pub(crate) async fn prompts() -> Json<PromptsBody> {
    let prompts = offline_assistant::example_prompts();
    let view = |it: offline_assistant::ExamplePrompt| PromptView { id: it.id, label: it.label, text: it.text };
    Json(PromptsBody { prompts: prompts.into_iter().map(view).collect() })
}
