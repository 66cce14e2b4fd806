//! The drain: nothing new, what is in flight is answered, WebSockets are told to come back.

use crate::world::{World, soon, until};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test]
async fn websockets_are_closed_with_1012_and_requests_in_flight_are_answered() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client.subscribe(&["SIM:BTC/USDT|tick"]).await;
    let slow = world.get("/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s");
    let (answer, closed) = tokio::join!(slow, async {
        until("the request", || world.metric("gateway_history_in_flight") == 1).await;
        world.shutdown.cancel();
        client.next().await
    });
    assert_eq!(answer.0, 200);
    assert_eq!(closed, json!({"close": 1012}));
    drop(client);
    soon("the end", world.server).await.unwrap().unwrap();
    assert!(!world.readiness.get());
    assert!(TcpStream::connect(world.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_client_that_ignores_the_close_does_not_hold_up_the_drain() {
    let world = World::start_with(|config| config.live.close_grace = std::time::Duration::from_millis(50)).await;
    let _silent = world.connect().await;
    until("the socket", || world.metric("gateway_live_sockets") == 1).await;
    world.shutdown.cancel();
    soon("the end", world.server).await.unwrap().unwrap();
}
