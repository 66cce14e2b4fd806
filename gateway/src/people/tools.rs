//! The assistant's tools: those of the platform and those of the user's container, as one list.

use crate::platform::PlatformTools;
use async_trait::async_trait;
use harness::tool::{Invocation, OnProgress, ToolOutcome, ToolSpec, Tools, ToolsError};
use proto::UserId;
use provisioner::ContainerTools;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Tools of platform and container. A name of the platform's is never a container's: user code cannot take a tool over.
#[derive(Debug)]
pub(super) struct AssistantTools {
    platform: PlatformTools,
    container: ContainerTools,
    ours: Vec<ToolSpec>,
    names: BTreeSet<String>,
}

impl AssistantTools {
    pub(super) fn new(platform: PlatformTools, container: ContainerTools) -> Self {
        let ours = PlatformTools::specs();
        let names = ours.iter().map(|tool| tool.name.clone()).collect();
        Self { platform, container, ours, names }
    }
}

/// Ours, then the container's whose names are not ours.
fn joined(ours: &[ToolSpec], names: &BTreeSet<String>, container: &[ToolSpec]) -> Arc<[ToolSpec]> {
    let theirs = container.iter().filter(|tool| !names.contains(&tool.name));
    ours.iter().chain(theirs).cloned().collect()
}

#[async_trait]
impl Tools for AssistantTools {
    async fn list(&self, user: UserId) -> Result<Arc<[ToolSpec]>, ToolsError> {
        match self.container.list(user).await {
            Ok(tools) => Ok(joined(&self.ours, &self.names, &tools)),
            Err(error) => {
                // Markets and charts work without a container.
                tracing::warn!(%user, %error, "the tools of a container cannot be had");
                Ok(self.ours.iter().cloned().collect())
            }
        }
    }

    async fn call(&self, call: Invocation, on_progress: OnProgress, cancel: CancellationToken) -> ToolOutcome {
        if !self.names.contains(&call.name) {
            return self.container.call(call, on_progress, cancel).await;
        }
        tokio::select! {
            outcome = self.platform.call(&call) => outcome,
            () = cancel.cancelled() => ToolOutcome::refused("CANCELLED", "", "stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::tool::{Effect, Home};
    use serde_json::json;

    fn tool(name: &str, home: Home) -> ToolSpec {
        let (name, description) = (name.to_owned(), String::new());
        ToolSpec { name, description, schema: json!({"type": "object"}), effect: Effect::Reads, home }
    }

    #[test]
    fn a_container_cannot_take_a_tool_of_the_platform_over() {
        let ours = [tool("get_price", Home::Platform)];
        let names = ["get_price".to_owned()].into();
        let all = joined(&ours, &names, &[tool("get_price", Home::Container), tool("run_python", Home::Container)]);
        let shown: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.home)).collect();
        assert_eq!(shown, [("get_price", Home::Platform), ("run_python", Home::Container)]);
    }
}
