//! The writer: rows to files, files to one snapshot, and the cleaning up afterwards.

pub(crate) mod commit;
pub(crate) mod files;
pub(crate) mod housekeeping;
pub(crate) mod orphans;
pub(crate) mod rewrite;
pub(crate) mod summary;
#[cfg(test)]
mod tests;
