//! The `zeromq` crate's forwarder.

use zeromq::prelude::*;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let endpoints: Vec<String> = std::env::args().skip(1).collect();
    let (mut front, mut back) = (zeromq::XSubSocket::new(), zeromq::XPubSocket::new());
    front.bind(&format!("tcp://{}", endpoints[0])).await?;
    back.bind(&format!("tcp://{}", endpoints[1])).await?;
    Ok(zeromq::proxy(front, back, None).await?)
}
