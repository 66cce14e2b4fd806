//! The user's container over HTTP (docs/protocol/12-chat.md §3): files, memory, backtests, and the container itself. What a
//! container answers is passed on as it is.

use crate::error::{ApiError, Code, ErrorBody};
use crate::http::chat::Refused;
use crate::people::People;
use accounts::{Caller, Scope};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use provisioner::{ClientError, ContainerState, FileKind, Phase};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ulid::Ulid;
use utoipa::ToSchema;

/// What a page that user code wrote may do: nothing but look.
const REPORT_POLICY: &str =
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Refused { code, .. } => match code.as_str() {
                "NOT_FOUND" => Code::NotFound,
                "INVALID_ARGUMENT" | "SYNTAX" => Code::InvalidField,
                "QUOTA" => Code::LimitExceeded,
                "BUSY" => Code::Overloaded,
                _ => Code::NotAvailable,
            },
            ClientError::Provision(_) | ClientError::Tiers(_) | ClientError::Unreachable { .. } | ClientError::Lost => {
                Code::Overloaded
            }
            ClientError::Silent { .. } | ClientError::Cancelled => Code::Timeout,
            ClientError::Token(_) | ClientError::Denied | ClientError::Malformed { .. } => {
                tracing::error!(%error, "a container could not be asked");
                Code::Internal
            }
        };
        let field = if let ClientError::Refused { field, .. } = &error { field.clone() } else { String::new() };
        Self { field: field.into(), ..Self::new(code, error.for_user()) }
    }
}

fn kind(name: &str) -> Result<FileKind, ApiError> {
    FileKind::from_name(name).ok_or_else(|| ApiError::field("kind", "kind: strategies or indicators"))
}

fn read<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::field("query", error.body_text()))?;
    Ok(query)
}

/// Which kind of files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KindQuery {
    kind: String,
}

/// Names of the user's files.
#[utoipa::path(
    get, path = "/api/v1/files", tag = "workspace",
    params(("kind" = String, Query, description = "`strategies` or `indicators`")),
    responses(
        (status = 200, description = "`{files: […]}`", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn files(
    State(people): State<People>,
    caller: Caller,
    query: Result<Query<KindQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    Ok(Json(people.containers.list_files(caller.user, kind(&read(query)?.kind)?).await?))
}

/// As of which commit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitQuery {
    #[serde(default)]
    commit: Option<String>,
}

/// A file of the user.
#[utoipa::path(
    get, path = "/api/v1/files/{kind}/{name}", tag = "workspace",
    params(
        ("kind" = String, Path, description = "`strategies` or `indicators`"),
        ("name" = String, Path, description = "Without `.py`"),
        ("commit" = Option<String>, Query, description = "As of this commit; now if absent"),
    ),
    responses(
        (status = 200, description = "`{code, commit}`", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such file", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn file(
    State(people): State<People>,
    caller: Caller,
    Path((of, name)): Path<(String, String)>,
    query: Result<Query<CommitQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    let commit = read(query)?.commit;
    Ok(Json(people.containers.read_file(caller.user, kind(&of)?, &name, commit.as_deref()).await?))
}

/// The commits of a file.
#[utoipa::path(
    get, path = "/api/v1/files/{kind}/{name}/history", tag = "workspace",
    params(("kind" = String, Path, description = "`strategies` or `indicators`"), ("name" = String, Path, description = "Without `.py`")),
    responses(
        (status = 200, description = "`{commits: […]}`, newest first", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such file", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn file_history(
    State(people): State<People>,
    caller: Caller,
    Path((of, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    Ok(Json(people.containers.file_history(caller.user, Some((kind(&of)?, &name)), None).await?))
}

/// What changed between two commits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffQuery {
    from: String,
    #[serde(default)]
    to: Option<String>,
}

/// The difference between two commits of the workspace.
#[utoipa::path(
    get, path = "/api/v1/file-diff", tag = "workspace",
    params(("from" = String, Query, description = "A commit"), ("to" = Option<String>, Query, description = "A commit; now if absent")),
    responses(
        (status = 200, description = "`{diff, truncated}`, unified", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such commit", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn file_diff(
    State(people): State<People>,
    caller: Caller,
    query: Result<Query<DiffQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    let DiffQuery { from, to } = read(query)?;
    Ok(Json(people.containers.file_diff(caller.user, &from, to.as_deref()).await?))
}

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryQuery {
    #[serde(default)]
    query: String,
    #[serde(default)]
    limit: Option<u32>,
}

/// Searches the conversation memory by words and by meaning.
#[utoipa::path(
    get, path = "/api/v1/memory", tag = "workspace",
    params(("query" = Option<String>, Query, description = "What to look for; nothing finds nothing"), ("limit" = Option<u32>, Query, description = "1 to 50, usually 5")),
    responses(
        (status = 200, description = "`{messages: […], note?}`", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn memory(
    State(people): State<People>,
    caller: Caller,
    query: Result<Query<MemoryQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    let MemoryQuery { query, limit } = read(query)?;
    if query.trim().is_empty() {
        return Ok(Json(json!({"messages": [], "note": "Say what to look for."})));
    }
    Ok(Json(people.containers.search_memory(caller.user, &query, limit).await?))
}

/// Every saved message, oldest first, one JSON object a line.
#[utoipa::path(
    get, path = "/api/v1/memory/export", tag = "workspace",
    responses(
        (status = 200, description = "JSON lines", body = String, content_type = "application/x-ndjson"),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn export_memory(State(people): State<People>, caller: Caller) -> Result<Response, Refused> {
    caller.require(Scope::Chat)?;
    let (containers, user) = (people.containers.clone(), caller.user);
    let first = containers.export_memory(user, None).await?;
    // A page at a time: a long memory is never here as a whole.
    let pages = futures_util::stream::try_unfold(Some(first), move |page| {
        let containers = containers.clone();
        async move {
            let Some(page) = page else { return Ok(None) };
            let mut lines = String::new();
            for message in page["messages"].as_array().map(Vec::as_slice).unwrap_or_default() {
                lines.push_str(&message.to_string());
                lines.push('\n');
            }
            let next = match page["next"].as_str() {
                Some(after) => Some(containers.export_memory(user, Some(after)).await?),
                None => None,
            };
            Ok::<_, ClientError>(Some((lines, next)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"memory.jsonl\""),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// Deletes every saved message for good.
#[utoipa::path(
    delete, path = "/api/v1/memory", tag = "workspace",
    responses(
        (status = 200, description = "`{erased, left}`: messages as counted", body = Object),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn erase_memory(State(people): State<People>, caller: Caller) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    let command = Ulid::generate().to_string();
    let erased = people.containers.erase_memory(caller.user, &command).await?;
    Ok(Json(json!({"erased": erased.before, "left": erased.after})))
}

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitQuery {
    #[serde(default)]
    limit: Option<u32>,
}

/// The user's backtests.
#[utoipa::path(
    get, path = "/api/v1/backtests", tag = "workspace",
    params(("limit" = Option<u32>, Query, description = "Usually 20")),
    responses(
        (status = 200, description = "`{backtests: […]}`, newest first", body = Object),
        (status = 400, description = "A parameter is not valid", body = ErrorBody),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn backtests(
    State(people): State<People>,
    caller: Caller,
    query: Result<Query<LimitQuery>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    Ok(Json(people.containers.list_backtests(caller.user, read(query)?.limit).await?))
}

/// The whole report of a backtest: curves, fills, round trips.
#[utoipa::path(
    get, path = "/api/v1/backtests/{id}", tag = "workspace",
    params(("id" = String, Path, description = "The run")),
    responses(
        (status = 200, description = "The report", body = Object),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such backtest", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn backtest(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refused> {
    caller.require(Scope::Chat)?;
    Ok(Json(people.containers.backtest_document(caller.user, &id).await?))
}

/// The report of a backtest as a page that can do nothing but look.
#[utoipa::path(
    get, path = "/api/v1/backtests/{id}/report.html", tag = "workspace",
    params(("id" = String, Path, description = "The run")),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 404, description = "No such backtest", body = ErrorBody),
        (status = 503, description = "The container is not there; try again", body = ErrorBody),
    )
)]
pub(crate) async fn backtest_page(
    State(people): State<People>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    caller.require(Scope::Chat)?;
    let page = people.containers.backtest_page(caller.user, &id).await?;
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, REPORT_POLICY)];
    Ok((headers, page).into_response())
}

/// How the user's container is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContainerBody {
    /// `absent`, `starting`, `ready`, `asleep` or `failed`.
    #[schema(value_type = String)]
    state: Phase,
    /// Of its last start.
    tier: Option<&'static str>,
    /// Since when; null if that is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<crate::rfc3339::Rfc3339>,
    /// For a person.
    message: String,
}

impl From<ContainerState> for ContainerBody {
    fn from(state: ContainerState) -> Self {
        let ContainerState { state, tier, since_ns, message, .. } = state;
        let since = (since_ns > 0).then_some(crate::rfc3339::Rfc3339(since_ns));
        Self { state, tier: tier.map(provisioner::Tier::name), since, message }
    }
}

/// How the caller's container is; starts nothing.
#[utoipa::path(
    get, path = "/api/v1/container", tag = "workspace",
    responses((status = 200, description = "The container", body = ContainerBody), (status = 401, description = "Not signed in", body = ErrorBody))
)]
pub(crate) async fn container(State(people): State<People>, caller: Caller) -> Result<Json<ContainerBody>, Refused> {
    caller.require(Scope::Chat)?;
    Ok(Json(people.containers.provisioner().state(caller.user).await.into()))
}

/// Starts the caller's container, so that it is there when it is needed.
#[utoipa::path(
    post, path = "/api/v1/container/wake", tag = "workspace",
    responses(
        (status = 202, description = "It runs, or will soon"),
        (status = 401, description = "Not signed in", body = ErrorBody),
        (status = 503, description = "It cannot be started now", body = ErrorBody),
    )
)]
pub(crate) async fn wake(State(people): State<People>, caller: Caller) -> Result<StatusCode, Refused> {
    caller.require(Scope::Chat)?;
    people.containers.ensure(caller.user).await?;
    Ok(StatusCode::ACCEPTED)
}
