//! The relay as the platform runs it: default limits, policies, heartbeats and counters. Only ports and the number of
//! connections and threads are set.

use relay::config::Config;
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut config = Config::default();
    config.publishers = arguments[0].parse()?;
    config.subscribers = arguments[1].parse()?;
    config.requests.set_port(0);
    config.work.set_port(0);
    for pair in &arguments[2..] {
        match pair.split_once('=') {
            Some(("connections", n)) => {
                config.limits.connections = n.parse()?;
                config.limits.connections_per_address = n.parse()?;
            }
            Some(("threads", n)) => config.fan_out_threads = n.parse()?,
            Some(("backlog_bytes", n)) => config.limits.backlog_bytes = n.parse()?,
            Some(("frame_bytes", n)) => config.limits.frame_bytes = n.parse()?,
            Some(("heartbeat_seconds", n)) => {
                config.heartbeat.interval = std::time::Duration::from_secs(n.parse()?);
                config.heartbeat.timeout = config.heartbeat.interval * 2;
            }
            Some(("stuck_seconds", n)) => config.limits.stuck_timeout = std::time::Duration::from_secs(n.parse()?),
            _ => anyhow::bail!("unknown argument {pair}"),
        }
    }
    Ok(relay::Relay::bind(&config)?.run(CancellationToken::new()).await?)
}
