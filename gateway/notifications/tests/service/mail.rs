//! Mail, over a server that refuses, is busy, hangs up and stalls.

use super::container::{Container, event_id};
use super::fake_smtp::{Behaviour, FakeSmtp};
use super::world::{ALICE, Setup, World};
use notifications::{ChannelKind, EmailConfig, Preferences, SmtpSecurity, State};
use std::path::Path;
use std::time::Duration;

async fn world(dir: &Path, server: &FakeSmtp) -> World {
    let mut setup = Setup::sqlite(dir);
    setup.config.delivery.attempt_timeout = Duration::from_millis(500);
    setup.config.email = Some(EmailConfig {
        host: "127.0.0.1".into(),
        port: server.address.port(),
        security: SmtpSecurity::None,
        from: "DexOrder <alerts@example.org>".into(),
        user: None,
    });
    let world = setup.start().await;
    let preferences = Preferences {
        channels: vec![ChannelKind::Email],
        email: Some("alice@example.com".into()),
        ..Preferences::default()
    };
    world.service.set_preferences(ALICE, preferences).await.unwrap();
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_stalls_is_busy_or_hangs_up_is_tried_again_with_the_same_message_id() {
    let dir = tempfile::tempdir().unwrap();
    let server = FakeSmtp::start([Behaviour::Stall, Behaviour::Busy, Behaviour::CutAfterData]).await;
    let world = world(dir.path(), &server).await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    let list = world.settled(ALICE, 1, State::Delivered).await;
    assert_eq!(list[0].channel, "email");
    let mails = server.mails();
    // Once before it hung up, once after: the mailbox can tell by the id.
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        assert_eq!(mail.header("Message-ID"), format!("<{}@example.org>", event_id(container.outbox, 1)));
        assert_eq!(mail.to, "RCPT TO:<alice@example.com>");
        assert_eq!(mail.header("Subject"), "DexOrder: Order filled");
        assert!(mail.text.contains("number: 1"), "{}", mail.text);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_does_not_exist_leaves_the_notification_in_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let server = FakeSmtp::start([Behaviour::Refuse]).await;
    let world = world(dir.path(), &server).await;
    let container = Container::new(ALICE, 1, world.port());
    container.deliver(1..=1).await;
    world.settled(ALICE, 1, State::Kept).await;
    assert!(server.mails().is_empty());
    assert_eq!(world.metric("kept_total"), 1);
    world.stop().await;
}
