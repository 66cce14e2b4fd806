//! What a gateway with people has: accounts, their containers, and the assistant over both.
//!
//! Without it (no section `people` in the configuration) a gateway shows markets only. Everything here is put together from the rooms in
//! `gateway/`: `accounts`, `provisioner`, `harness`, `offline-assistant`; the adapters between them are below.
//!
//! **Invariant.** Who somebody is comes from `accounts` alone; the user id of a proven caller is the only key that the others are asked with.

mod context;
mod event_keys;
mod memories;
pub(crate) mod open_pages;
mod tokens;
mod tools;

use crate::http::App;
use crate::people::context::ContainerContext;
use crate::people::event_keys::ContainerKeys;
use crate::people::memories::Memories;
use crate::people::open_pages::OpenPages;
pub(crate) use crate::people::tokens::assistant_tier;
use crate::people::tokens::{AccountTiers, AccountTokens};
use crate::people::tools::AssistantTools;
use crate::platform::PlatformTools;
use accounts::{AccountError, Accounts, AccountsConfig, AccountsSecrets, OneTimeSecret};
use harness::budget::DayBudget;
use harness::metrics::HarnessMetrics;
use harness::model::Model;
use harness::router::ModelConfig;
use harness::store::{Database, TurnStore};
use harness::{Harness, HarnessConfig, HarnessParts, StoredBudget};
use notifications::{InvalidConfig, Notifications, NotificationsConfig, NotificationsSecrets};
use offline_assistant::OfflineAssistant;
use offline_assistant::knowledge::{Knowledge, Owner, WordsIndex, pages};
use provisioner::{
    ClientConfig, ContainerClient, ContainerMetrics, ContainerTools, McpProxy, ProcessConfig, ProcessProvisioner,
    ProvisionError, Provisioner, ProxyConfig,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use service::clock::Clock;
use service::lifecycle::Lifecycle;
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use ulid::Ulid;

/// The model that is always there.
const OFFLINE: &str = "offline";

/// The notifications end within this time.
const DRAIN: Duration = Duration::from_secs(5);

/// The section `people`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleConfig {
    /// Where `platform.sqlite` and the keys of the accounts are.
    pub dir: PathBuf,
    /// Accounts.
    #[serde(default)]
    pub accounts: AccountsConfig,
    /// Containers.
    pub containers: ProcessConfig,
    /// The client to containers.
    #[serde(default)]
    pub client: ClientConfig,
    /// External MCP clients.
    pub mcp: ProxyConfig,
    /// The assistant.
    #[serde(default)]
    pub assistant: HarnessConfig,
    /// What a user may spend in a day.
    #[serde(default)]
    pub budget: DayBudget,
    /// Events of the containers, and how users hear of them.
    pub notifications: NotificationsConfig,
}

impl PeopleConfig {
    /// Checks the rules that hold between settings; each problem with the path of its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let sections = [
            ("accounts", self.accounts.problems()),
            ("containers", self.containers.problems()),
            ("client", self.client.problems()),
            ("mcp", self.mcp.problems()),
        ];
        let mut problems: Vec<String> = sections
            .into_iter()
            .flat_map(|(section, problems)| problems.into_iter().map(move |it| format!("people.{section}.{it}")))
            .collect();
        if let Err(InvalidConfig(wrong)) = self.notifications.check() {
            problems.extend(wrong.into_iter().map(|it| format!("people.{it}")));
        }
        for model in &self.assistant.models {
            let known = match &model.provider {
                Some(provider) => self.assistant.providers.contains_key(provider),
                None => model.name == OFFLINE,
            };
            if !known {
                problems.push(format!("people.assistant.models: {}: its provider is not configured", model.name));
            }
        }
        problems
    }
}

/// `secrets.yaml` of a gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleSecrets {
    /// Keys and URLs of the accounts. What is absent is made on the first start.
    pub accounts: AccountsSecrets,
    /// Keys of the providers of models, by the provider's name.
    pub models: BTreeMap<String, SecretString>,
    /// Of the notifications.
    pub notifications: NotificationsSecrets,
}

/// Why a gateway with people does not start.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The accounts.
    #[error("people.accounts: {0}")]
    Accounts(#[from] AccountError),
    /// The containers.
    #[error("people.containers: {0}")]
    Containers(#[from] ProvisionError),
    /// The turn log.
    #[error("people.assistant: {0}")]
    Turns(#[from] harness::store::StoreError),
    /// A provider of models.
    #[error("people.assistant.providers: {0}")]
    Providers(#[from] harness::openai::ProviderError),
    /// An HTTP client.
    #[error("people.client: {0}")]
    Http(#[from] reqwest::Error),
    /// The notifications.
    #[error("people.notifications: {0}")]
    Notifications(#[from] notifications::StartError),
    /// The pages that the assistant knows.
    #[error("knowledge: {0}")]
    Knowledge(#[from] offline_assistant::knowledge::KnowledgeError),
}

/// A link that signs the first admin in, once, below the URL under which clients know the gateway.
///
/// # Errors
/// If the accounts cannot be opened.
pub async fn login_link(config: PeopleConfig, secrets: PeopleSecrets) -> Result<SecretString, PeopleError> {
    let metrics = Metrics::new();
    let section = metrics.module("gateway_accounts");
    let accounts = Accounts::open(config.accounts, secrets.accounts, &config.dir, Clock::System, &section).await?;
    let (_, link) = accounts.first_admin_link().await?;
    accounts.close().await;
    let page = config.mcp.resource.trim_end_matches('/').trim_end_matches("/mcp").to_owned();
    Ok(SecretString::from(format!("{page}/login?link={}", link.secret.expose_secret())))
}

/// Everything that people need. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct People {
    pub(crate) app: Arc<App>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) harness: Harness,
    pub(crate) containers: ContainerClient,
    pub(crate) mcp: McpProxy,
    pub(crate) notifications: Notifications,
    pub(crate) pages: Arc<OpenPages>,
    /// The tasks of the notifications.
    lifecycle: Lifecycle,
    /// Cancelled when sockets shall close.
    pub(crate) closing: CancellationToken,
}

impl People {
    /// Opens the accounts and starts the assistant; no container is started before somebody needs it.
    pub(crate) async fn open(
        config: PeopleConfig,
        secrets: PeopleSecrets,
        app: Arc<App>,
        metrics: &Metrics,
    ) -> Result<Self, PeopleError> {
        let clock = app.clock.clone();
        let PeopleConfig { dir, accounts, mut containers, client, mcp, assistant, budget, notifications } = config;
        let database = match &secrets.accounts.database_url {
            Some(url) => Database::Postgres(url.clone()),
            None => Database::Sqlite(dir.join("platform.sqlite")),
        };
        let section = metrics.module("gateway_accounts");
        let accounts = Accounts::open(accounts, secrets.accounts, &dir, clock.clone(), &section).await?;
        let accounts = Arc::new(accounts);
        let tokens = Arc::new(AccountTokens(accounts.clone()));
        let (lifecycle, keys) = (Lifecycle::new(), Arc::new(ContainerKeys::default()));
        let parts = notifications::Parts {
            keys: keys.clone(),
            channels: Vec::new(),
            replica: Ulid::generate().to_string(),
            clock: clock.clone(),
            metrics,
            lifecycle: &lifecycle,
        };
        let notifications = Notifications::start(notifications, &secrets.notifications, parts).await?;
        if let (true, Some(bound)) = (containers.events.ends_with(":0"), notifications.local_addr()) {
            containers.events = format!("tcp://{bound}");
        }
        let counted = ContainerMetrics::new(metrics);
        let provisioner = ProcessProvisioner::new(containers, tokens.as_ref(), clock.clone(), counted.clone())?;
        let provisioner: Arc<dyn Provisioner> = Arc::new(provisioner);
        keys.kept_by(provisioner.clone());
        let tiers = Arc::new(AccountTiers(accounts.clone()));
        let client = ContainerClient::new(client, (provisioner, tiers), tokens, clock.clone(), counted)?;
        let knowledge = Arc::new(Knowledge::new(Arc::new(WordsIndex::new())));
        knowledge.load(&Owner::Everyone, &pages()).await?;
        let platform = PlatformTools { app: app.clone(), accounts: accounts.clone(), knowledge: knowledge.clone() };
        let tools = AssistantTools::new(platform, ContainerTools::new(client.clone()));
        let stop = CancellationToken::new();
        let adapters = (Arc::new(tools), client.clone(), knowledge);
        let harness = assistant_of((assistant, budget), (database, &secrets.models), adapters, (clock, metrics), &stop);
        let harness = harness.await?;
        let mcp = McpProxy::new(mcp, client.clone())?;
        let pages = Arc::new(OpenPages::new(notifications.clone(), client.clone()));
        Ok(Self { app, accounts, harness, containers: client, mcp, notifications, pages, lifecycle, closing: stop })
    }

    /// A link that signs the first admin in, once.
    pub(crate) async fn admin_link(&self) -> Result<OneTimeSecret, AccountError> {
        Ok(self.accounts.first_admin_link().await?.1)
    }

    /// Starts what runs beside the server.
    pub(crate) fn start(&self, background: &TaskTracker, stop: &CancellationToken) {
        let (accounts, stop) = (self.accounts.clone(), stop.clone());
        background.spawn(async move { accounts.run_upkeep(&stop).await });
    }

    /// Lets turns end, or leaves them to other replicas, then ends the containers.
    pub(crate) async fn shutdown(&self) {
        self.closing.cancel();
        self.harness.stopped().await;
        self.containers.shutdown().await;
        self.containers.provisioner().shutdown().await;
        // After the containers: what they say at their end is still received.
        if let Err(late) = self.lifecycle.drain(DRAIN).await {
            tracing::warn!(late = ?late.late, "notifications did not end in time");
        }
        self.accounts.close().await;
    }
}

type Adapters = (Arc<AssistantTools>, ContainerClient, Arc<Knowledge>);

async fn assistant_of(
    (mut config, budget): (HarnessConfig, DayBudget),
    (database, keys): (Database, &BTreeMap<String, SecretString>),
    (tools, client, knowledge): Adapters,
    (clock, metrics): (Clock, &Metrics),
    stop: &CancellationToken,
) -> Result<Harness, PeopleError> {
    let metrics = HarnessMetrics::new(metrics);
    let mut models: Vec<Arc<dyn Model>> = harness::openai::models(&config, keys)?;
    // Where no model is configured, the one that needs no key answers, and says what it is.
    if config.models.is_empty() {
        config.models.push(ModelConfig::built_in(OFFLINE));
    }
    models.push(Arc::new(OfflineAssistant::new(clock.clone())));
    let store = TurnStore::open(&database, &config.store, config.turns.lease, clock.clone(), metrics.clone()).await?;
    let parts = HarnessParts {
        budget: Arc::new(StoredBudget::new(store.clone(), budget)),
        store,
        models,
        tools,
        context: Arc::new(ContainerContext(client.clone())),
        retriever: Arc::new(Memories { client: client.clone(), knowledge }),
        saver: Arc::new(ContainerContext(client)),
        clock,
        metrics,
    };
    Ok(Harness::start(config, parts, stop.clone()))
}
