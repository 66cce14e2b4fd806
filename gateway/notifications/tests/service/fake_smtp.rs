//! A mail server: speaks SMTP as far as a sender needs it, and misbehaves by script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// 550 to the recipient.
    Refuse,
    /// 451 to the recipient.
    Busy,
    /// Takes the mail and hangs up before it says so.
    CutAfterData,
    /// Greets nobody.
    Stall,
}

/// A mail as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Mail {
    pub(crate) fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or("")
    }
}

#[derive(Debug, Default)]
struct State {
    /// Then everything is taken.
    script: VecDeque<Behaviour>,
    mails: Vec<Mail>,
}

#[derive(Debug)]
pub(crate) struct FakeSmtp {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeSmtp {
    pub(crate) async fn start(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), mails: Vec::new() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, server }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.state.lock().unwrap().mails.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let behaviour = state.lock().unwrap().script.pop_front();
    let mut stream = BufReader::new(stream);
    if behaviour == Some(Behaviour::Stall) {
        return std::future::pending().await;
    }
    if stream.write_all(b"220 fake ESMTP\r\n").await.is_err() {
        return;
    }
    let (mut to, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let answer = match line.split([' ', ':', '\r']).next().unwrap_or("").to_ascii_uppercase().as_str() {
            "EHLO" => "250-fake\r\n250 8BITMIME\r\n",
            "RCPT" => {
                to = line.trim_end().to_owned();
                match behaviour {
                    Some(Behaviour::Refuse) => "550 5.1.1 no such mailbox\r\n",
                    Some(Behaviour::Busy) => "451 4.3.2 come back later\r\n",
                    _ => "250 ok\r\n",
                }
            }
            "DATA" => {
                if stream.write_all(b"354 go on\r\n").await.is_err() {
                    return;
                }
                let mut text = String::new();
                while stream.read_line(&mut text).await.unwrap_or(0) > 0 && !text.ends_with("\r\n.\r\n") {}
                state.lock().unwrap().mails.push(Mail { to: to.clone(), text });
                if behaviour == Some(Behaviour::CutAfterData) {
                    return;
                }
                "250 taken\r\n"
            }
            "QUIT" => {
                // The other side does not have to wait for this.
                drop(stream.write_all(b"221 bye\r\n").await);
                return;
            }
            _ => "250 ok\r\n",
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
