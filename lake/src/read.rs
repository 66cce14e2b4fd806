//! The reader: which files a query touches, and their rows.

pub(crate) mod cache;
pub(crate) mod decode;
pub(crate) mod plan;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
