//! A catalog of which only the two calls of a commit are there: load a table, update it.

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent};
use std::collections::HashMap;
use std::fmt::Debug;

/// What a commit needs of a catalog.
#[async_trait]
pub(crate) trait Commits: Debug + Send + Sync {
    async fn load(&self, table: &TableIdent) -> Result<Table>;
    async fn update(&self, commit: TableCommit) -> Result<Table>;
}

/// Such a thing as a catalog; everything else is refused.
#[derive(Debug)]
pub(crate) struct Narrow<C>(pub(crate) C);

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "this catalog only loads and commits"))
}

#[async_trait]
impl<C: Commits> Catalog for Narrow<C> {
    async fn load_table(&self, table: &TableIdent) -> Result<Table> {
        self.0.load(table).await
    }
    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        self.0.update(commit).await
    }
    async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        refused()
    }
    async fn create_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<Namespace> {
        refused()
    }
    async fn get_namespace(&self, _: &NamespaceIdent) -> Result<Namespace> {
        refused()
    }
    async fn namespace_exists(&self, _: &NamespaceIdent) -> Result<bool> {
        refused()
    }
    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<()> {
        refused()
    }
    async fn drop_namespace(&self, _: &NamespaceIdent) -> Result<()> {
        refused()
    }
    async fn list_tables(&self, _: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        refused()
    }
    async fn create_table(&self, _: &NamespaceIdent, _: TableCreation) -> Result<Table> {
        refused()
    }
    async fn drop_table(&self, _: &TableIdent) -> Result<()> {
        refused()
    }
    async fn purge_table(&self, _: &TableIdent) -> Result<()> {
        refused()
    }
    async fn table_exists(&self, _: &TableIdent) -> Result<bool> {
        refused()
    }
    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> Result<()> {
        refused()
    }
    async fn register_table(&self, _: &TableIdent, _: String) -> Result<Table> {
        refused()
    }
}
