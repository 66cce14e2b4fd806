//! One connection of a client to the fake venue.

use super::{Connections, Order, Shared};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use std::sync::Arc;

/// Keeps the count of connections right however a connection ends.
struct Counted {
    shared: Arc<Shared>,
    trades: bool,
    quotes: bool,
}

impl Counted {
    fn change(&self, change: impl Fn(&mut Connections)) {
        self.shared.connections.send_modify(change);
    }

    fn asked(&mut self, trades: bool, quotes: bool) {
        let (new_trades, new_quotes) = (trades && !self.trades, quotes && !self.quotes);
        self.trades |= trades;
        self.quotes |= quotes;
        self.change(|c| {
            c.trades += usize::from(new_trades);
            c.quotes += usize::from(new_quotes);
        });
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.change(|c| {
            c.open -= 1;
            c.trades -= usize::from(self.trades);
            c.quotes -= usize::from(self.quotes);
        });
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(mut socket: WebSocket, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let mut mute = shared.mute.subscribe();
    let mut counted = Counted { shared: Arc::clone(&shared), trades: false, quotes: false };
    counted.change(|c| {
        c.open += 1;
        c.ever += 1;
    });
    loop {
        // A mute venue neither reads nor writes, so it answers no ping either; only a dropped connection ends it.
        let silent = *mute.borrow_and_update();
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _changed = mute.changed() => {}
            order = orders.recv() => match order {
                Ok(Order::Drop) => return,
                Ok(_) if silent => {}
                Ok(Order::Trade(frame)) if counted.trades => if send(&mut socket, frame).await.is_err() { return },
                Ok(Order::Quote(frame)) if counted.quotes => if send(&mut socket, frame).await.is_err() { return },
                Ok(Order::Raw(frame)) => if send(&mut socket, frame).await.is_err() { return },
                Ok(Order::Close) => {
                    let close = CloseFrame { code: 1001, reason: "maintenance".into() };
                    // Whether the client still listens does not matter.
                    let _courtesy = socket.send(Message::Close(Some(close))).await;
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            },
            message = socket.recv(), if !silent => match message {
                Some(Ok(Message::Text(text))) => {
                    let asked = shared.dialect.asked(&text);
                    for reply in asked.replies {
                        if socket.send(Message::Text(reply.into())).await.is_err() {
                            return;
                        }
                    }
                    counted.asked(asked.trades, asked.quotes);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn send(socket: &mut WebSocket, frame: Bytes) -> Result<(), axum::Error> {
    match String::from_utf8(frame.to_vec()) {
        Ok(text) => socket.send(Message::Text(text.into())).await,
        Err(_) => socket.send(Message::Binary(frame)).await,
    }
}
