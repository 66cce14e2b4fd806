//! Binding of ports with an error that names what wanted which address.

use anyhow::Context;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Binds `address` for `purpose`.
pub(crate) async fn bind(purpose: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{purpose}: cannot listen at {address} (is it in use by another platform? choose another address)")
    })
}
