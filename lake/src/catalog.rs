//! The catalog: tables in `catalog.sqlite`, and each table's newest metadata, loaded once per change.

mod narrow;

pub(crate) use narrow::{Commits, Narrow};

use crate::config::LakeConfig;
use crate::disk::{self, DiskFactory};
use crate::error::{LakeError, Result};
use crate::schema::{NAMESPACE, Table};
use async_trait::async_trait;
use iceberg::spec::FormatVersion;
use iceberg::table::Table as IcebergTable;
use iceberg::{Catalog, CatalogBuilder, NamespaceIdent, TableCommit, TableCreation, TableIdent};
use iceberg_catalog_sql::{
    SQL_CATALOG_PROP_BIND_STYLE, SQL_CATALOG_PROP_URI, SQL_CATALOG_PROP_WAREHOUSE, SqlBindStyle, SqlCatalog,
    SqlCatalogBuilder,
};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of each of the two pools on the catalog.
const CONNECTIONS: u32 = 2;

/// Opens the catalog in a runtime that ends at once, and with it the upkeep of the catalog's pool, which nothing else can switch
/// off. The upkeep of sqlx 0.8.6 counts idle connections while others take them; a count that is one below zero for that moment makes it
/// run for ever on the thread that it has, which no shutdown ends.
async fn load(fsync: bool, properties: HashMap<String, String>) -> Result<SqlCatalog> {
    let builder = SqlCatalogBuilder::default()
        .with_storage_factory(Arc::new(DiskFactory { fsync }))
        .with_runtime(iceberg::Runtime::current());
    let opened = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(builder.load(NAMESPACE, properties)))
    });
    let opened = opened.await.map_err(std::io::Error::from).flatten();
    opened.map_err(LakeError::io(Path::new("catalog.sqlite")))?.map_err(LakeError::iceberg("open catalog"))
}

/// A table as of one metadata file.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) location: String,
    pub(crate) table: IcebergTable,
}

/// The catalog with the newest known head of each table.
#[derive(Debug)]
pub(crate) struct Heads {
    catalog: Arc<dyn Catalog>,
    pool: SqlitePool,
    ticks: Mutex<Option<Arc<Head>>>,
    candles: Mutex<Option<Arc<Head>>>,
}

impl Heads {
    /// Opens the catalog and creates what is absent. `wrap` may put another catalog in front, as tests do.
    pub(crate) async fn open(
        config: &LakeConfig,
        wrap: impl FnOnce(Arc<dyn Catalog>) -> Arc<dyn Catalog>,
    ) -> Result<Self> {
        let dir = checked_dir(config)?;
        let warehouse = config.dir.join("warehouse");
        disk::create_dirs(&warehouse, config.fsync).map_err(LakeError::io(&warehouse))?;
        let database = config.dir.join("catalog.sqlite");
        let options = SqliteConnectOptions::new().filename(&database).create_if_missing(true);
        // Without limits of age there is no upkeep: see `load`.
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(options).await?;
        let properties = HashMap::from([
            (SQL_CATALOG_PROP_URI.to_owned(), format!("sqlite://{dir}/catalog.sqlite?mode=rwc")),
            (SQL_CATALOG_PROP_WAREHOUSE.to_owned(), format!("file://{dir}/warehouse")),
            (SQL_CATALOG_PROP_BIND_STYLE.to_owned(), SqlBindStyle::QMark.to_string()),
            ("pool.max-connections".to_owned(), CONNECTIONS.to_string()),
        ]);
        let catalog = load(config.fsync, properties).await?;
        create_absent(&catalog).await?;
        let heads = Self { catalog: wrap(Arc::new(catalog)), pool, ticks: Mutex::default(), candles: Mutex::default() };
        for table in Table::ALL {
            check_place(config, table, &heads.location(table).await?)?;
            let head = heads.head(table).await?;
            check(table, &head.table)?;
        }
        Ok(heads)
    }

    pub(crate) fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    const fn slot(&self, table: Table) -> &Mutex<Option<Arc<Head>>> {
        match table {
            Table::Ticks => &self.ticks,
            Table::Candles => &self.candles,
        }
    }

    /// The newest head. One small query if nothing has changed.
    pub(crate) async fn head(&self, table: Table) -> Result<Arc<Head>> {
        let location = self.location(table).await?;
        let known = self.known(table);
        if let Some(head) = known.filter(|head| head.location == location) {
            return Ok(head);
        }
        let loaded = self.catalog.load_table(&table.ident()).await.map_err(LakeError::iceberg("load table"))?;
        self.learn(table, loaded)
    }

    /// The last known head, without a look at the catalog.
    pub(crate) fn known(&self, table: Table) -> Option<Arc<Head>> {
        self.slot(table).lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a table that the catalog returned as the newest head.
    pub(crate) fn learn(&self, table: Table, loaded: IcebergTable) -> Result<Arc<Head>> {
        let location = loaded.metadata_location_result().map_err(LakeError::iceberg("load table"))?.to_owned();
        let head = Arc::new(Head { location, table: loaded });
        *self.slot(table).lock().unwrap_or_else(PoisonError::into_inner) = Some(head.clone());
        Ok(head)
    }

    /// Where the newest metadata is, straight from the database.
    pub(crate) async fn location(&self, table: Table) -> Result<String> {
        let row = sqlx::query(
            "SELECT metadata_location FROM iceberg_tables \
             WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
        )
        .bind(NAMESPACE)
        .bind(NAMESPACE)
        .bind(table.name())
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Moves a table from one metadata file to the next if it is still at the first; true if it moved.
    pub(crate) async fn swap(&self, table: Table, from: &str, to: &str) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? \
             WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?",
        )
        .bind(to)
        .bind(from)
        .bind(NAMESPACE)
        .bind(NAMESPACE)
        .bind(table.name())
        .bind(from)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// The directory as text that is the same in a path, a URL and SQL.
fn checked_dir(config: &LakeConfig) -> Result<&str> {
    let refuse = |reason: &str| LakeError::Config { dir: config.dir.clone(), reason: reason.to_owned() };
    let text = config.dir.to_str().ok_or_else(|| refuse("the path is not UTF-8"))?;
    if !config.dir.is_absolute() {
        return Err(refuse("the path is not absolute"));
    }
    if text.contains(['?', '#', '%']) {
        return Err(refuse("the path contains one of ? # %, which table locations cannot hold"));
    }
    Ok(text.trim_end_matches('/'))
}

/// Creates namespace and tables; another process may do the same at the same time.
async fn create_absent(catalog: &impl Catalog) -> Result<()> {
    let namespace = NamespaceIdent::new(NAMESPACE.to_owned());
    let exists = || catalog.namespace_exists(&namespace);
    if !exists().await.map_err(LakeError::iceberg("read catalog"))? {
        let created = catalog.create_namespace(&namespace, HashMap::new()).await;
        if let Err(error) = created
            && !exists().await.map_err(LakeError::iceberg("read catalog"))?
        {
            return Err(LakeError::iceberg("create namespace")(error));
        }
    }
    for table in Table::ALL {
        let exists =
            || async { catalog.table_exists(&table.ident()).await.map_err(LakeError::iceberg("read catalog")) };
        if exists().await? {
            continue;
        }
        let creation = TableCreation::builder()
            .name(table.name().to_owned())
            .schema(table.schema()?)
            .partition_spec(table.partition_spec()?)
            .sort_order(table.sort_order())
            .properties(Table::properties())
            .format_version(FormatVersion::V2)
            .build();
        if let Err(error) = catalog.create_table(&namespace, creation).await
            && !exists().await?
        {
            return Err(LakeError::iceberg("create table")(error));
        }
    }
    Ok(())
}

/// Refuses a lake that was moved or copied: its metadata names absolute paths, of the old place.
fn check_place(config: &LakeConfig, table: Table, location: &str) -> Result<()> {
    if disk::local_path(location).starts_with(table_dir(&config.dir, table)) {
        return Ok(());
    }
    let reason = format!("its table {table} is at {location}; a lake cannot be moved");
    Err(LakeError::Config { dir: config.dir.clone(), reason })
}

/// Refuses a table that this version cannot write.
fn check(table: Table, found: &IcebergTable) -> Result<()> {
    let metadata = found.metadata();
    let schema = table.schema()?;
    let differs = |reason: String| Err(LakeError::Incompatible { table, reason });
    for field in schema.as_struct().fields() {
        let found = metadata.current_schema().field_by_id(field.id);
        if found.is_none_or(|found| found.name != field.name || found.field_type != field.field_type) {
            return differs(format!("column {} differs", field.name));
        }
    }
    if metadata.current_schema().as_struct().fields().len() != schema.as_struct().fields().len() {
        return differs("it has further columns".to_owned());
    }
    let partitions = |fields: &mut dyn Iterator<Item = (i32, String)>| fields.collect::<Vec<_>>();
    let wanted = table.partition_spec()?;
    let wanted = partitions(&mut wanted.fields().iter().map(|f| (f.source_id, f.transform.to_string())));
    let spec = metadata.default_partition_spec();
    let found = partitions(&mut spec.fields().iter().map(|f| (f.source_id, f.transform.to_string())));
    if wanted != found {
        return differs(format!("partitions {found:?}, expected {wanted:?}"));
    }
    Ok(())
}

/// A catalog for one commit attempt. It shows the table as it was judged, so that iceberg's transaction cannot rebase
/// the commit on something that was not judged; and no failure looks retryable, so that it makes one attempt only.
#[derive(Debug)]
pub(crate) struct OneAttempt {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) base: IcebergTable,
}

#[async_trait]
impl Commits for OneAttempt {
    async fn load(&self, _table: &TableIdent) -> iceberg::Result<IcebergTable> {
        Ok(self.base.clone())
    }

    async fn update(&self, commit: TableCommit) -> iceberg::Result<IcebergTable> {
        self.catalog.update_table(commit).await.map_err(|error| error.with_retryable(false))
    }
}

/// The path of a table's directory.
pub(crate) fn table_dir(lake_dir: &Path, table: Table) -> PathBuf {
    lake_dir.join("warehouse").join(NAMESPACE).join(table.name())
}
