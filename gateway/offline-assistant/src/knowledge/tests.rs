//! Who finds what, that loading again changes nothing, and that questions find their page.

use super::*;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::sync::Mutex;

fn user(number: u128) -> UserId {
    UserId::from_bits(number)
}

fn page(source: &str, text: &str) -> Page {
    Page { source: source.to_owned(), text: text.to_owned() }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::future::FutureExt::now_or_never(future).expect("the index of this process never waits")
}

async fn everybodys() -> Knowledge {
    let knowledge = Knowledge::new(Arc::new(WordsIndex::new()));
    knowledge.load(&Owner::Everyone, &pages()).await.unwrap();
    knowledge
}

#[tokio::test]
async fn questions_find_their_page() {
    let knowledge = everybodys().await;
    let mut missed = Vec::new();
    for (question, source, heading) in [
        ("what is RSI", "indicators", "Oscillators"),
        ("what is look-ahead", "look-ahead", "What is look-ahead"),
        ("how do I avoid overfitting?", "look-ahead", "How to avoid overfitting"),
        ("how do I read a backtest", "reading", "How to read a backtest"),
        ("explain sharpe ratio", "reading", "Sharpe ratio"),
        ("what is a drawdown", "trading-concepts", "Equity and drawdown"),
        ("how much should I risk per trade", "risk", "Risk per trade"),
        ("what is leverage", "", "everage"),
        ("how do I write a strategy in python", "strategy-api", ""),
        ("what does MACD mean", "indicators", "macd"),
        ("what are bollinger bands", "indicators", "Bands"),
        ("what are support and resistance", "trading-concepts", "Support and resistance"),
        ("why does my moving average cross lose in ranges", "strategy-patterns", "Moving average cross"),
        ("what is slippage", "", ""),
        ("is there news or sentiment", "platform", "What does not exist yet"),
        ("which tiers are there", "platform", "Tiers"),
        ("what is walk forward", "", "Walk-forward"),
        ("how do I use stops", "risk", "Stops"),
        ("how does the average true range work", "indicators", "Volatility"),
        ("what is the simulated market", "platform", "simulated"),
    ] {
        let found = knowledge.search(user(1), question, 2).await.unwrap();
        let hit = found
            .iter()
            .any(|it| it.source.contains(source) && it.heading.to_lowercase().contains(&heading.to_lowercase()));
        if !hit {
            missed.push((question, found.iter().map(|it| it.heading.clone()).collect::<Vec<_>>()));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    for nothing in ["", "the of and", "xyzzy plugh"] {
        assert_eq!(knowledge.search(user(1), nothing, 3).await.unwrap(), []);
    }
}

#[tokio::test]
async fn loading_again_changes_nothing_and_only_what_changed_is_written() {
    let knowledge = everybodys().await;
    let again = knowledge.load(&Owner::Everyone, &pages()).await.unwrap();
    assert_eq!(again, Loaded { written: 0, unchanged: pages().len(), removed: 0 });
    let mut changed = pages();
    changed[0].text.push_str("\n## New\n\nA zebra stands here.\n");
    let gone = changed.pop().unwrap();
    let loaded = knowledge.load(&Owner::Everyone, &changed).await.unwrap();
    assert_eq!(loaded, Loaded { written: 1, unchanged: pages().len() - 2, removed: 1 });
    assert_eq!(knowledge.search(user(1), "zebra", 3).await.unwrap()[0].heading, "The platform: New");
    let all = knowledge.search(user(1), "strategy on_candle target parameters", 10).await.unwrap();
    assert!(all.iter().all(|it| it.source != gone.source));
}

#[tokio::test]
async fn bounds_name_the_limit_and_leave_the_old_pages() {
    let knowledge = everybodys().await;
    let large = page("large.md", &"x".repeat(PAGE_BYTES_MAX + 1));
    let error = knowledge.load(&Owner::Everyone, &[large]).await.unwrap_err();
    assert_eq!(
        error,
        KnowledgeError::PageTooLarge { page: "large.md".to_owned(), bytes: PAGE_BYTES_MAX + 1, most: PAGE_BYTES_MAX }
    );
    assert!(!knowledge.search(user(1), "sharpe", 1).await.unwrap().is_empty());
    let owner = Owner::User(user(7));
    let many = "# a\nb\n".repeat(POINTS_MAX + 1);
    let error = knowledge.load(&owner, &[page("many.md", &many)]).await.unwrap_err();
    assert_eq!(error, KnowledgeError::TooManyPoints { points: POINTS_MAX + 1, most: POINTS_MAX });
}

#[tokio::test]
async fn erasing_a_user_is_proven_by_counts_and_leaves_the_others() {
    let knowledge = everybodys().await;
    for number in [1, 2] {
        let mine = [page("mine.md", &format!("# Mine\n\nunicorn {number}\n"))];
        knowledge.load(&Owner::User(user(number)), &mine).await.unwrap();
    }
    assert_eq!(knowledge.erase(user(1)).await.unwrap(), Erased { before: 1, after: 0 });
    assert_eq!(knowledge.search(user(1), "unicorn", 5).await.unwrap(), []);
    assert_eq!(knowledge.search(user(2), "unicorn", 5).await.unwrap()[0].text, "unicorn 2");
}

/// An index that ignores every filter, as a vector store with a forgotten condition would.
#[derive(Debug, Default)]
struct Leaking(Mutex<Vec<Found>>);

#[async_trait]
impl Index for Leaking {
    async fn indexed(&self, _: &Owner) -> Result<Vec<Indexed>, KnowledgeError> {
        Ok(Vec::new())
    }

    async fn replace(&self, owner: &Owner, _: Indexed, snippets: Vec<Snippet>) -> Result<(), KnowledgeError> {
        self.0.lock().unwrap().extend(snippets.into_iter().map(|snippet| Found { owner: *owner, snippet, score: 1.0 }));
        Ok(())
    }

    async fn nearest(&self, _: &Scope, _: &str, _: usize) -> Result<Vec<Found>, KnowledgeError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn count(&self, _: &Owner) -> Result<u64, KnowledgeError> {
        Ok(0)
    }

    async fn clear(&self, _: &Owner) -> Result<(), KnowledgeError> {
        Ok(())
    }
}

/// Ids that are near to each other, and to 0.
fn users() -> impl Strategy<Value = UserId> {
    prop_oneof![Just(0_u128), Just(1), Just(u128::MAX), any::<u128>(), any::<u8>().prop_map(u128::from)]
        .prop_map(UserId::from_bits)
}

proptest! {
    #[test]
    fn another_users_points_are_never_returned(
        owners in proptest::collection::vec(users(), 1..6),
        asking in users(),
        query in "(secret|unicorn|[a-z ]{0,20}|owner:0 OR 1=1|\\PC{0,20})",
        limit in 0_usize..20,
    ) {
        for index in [Arc::new(WordsIndex::new()) as Arc<dyn Index>, Arc::new(Leaking::default())] {
            let knowledge = Knowledge::new(index);
            now(knowledge.load(&Owner::Everyone, &[page("all.md", "# All\n\nsecret of everybody\n")])).unwrap();
            for owner in &owners {
                let text = format!("# Secret\n\nsecret unicorn of owner {owner}\n");
                now(knowledge.load(&Owner::User(*owner), &[page("mine.md", &text)])).unwrap();
            }
            let found = now(knowledge.search(asking, &query, limit)).unwrap();
            prop_assert!(found.len() <= limit.min(SNIPPETS_MAX));
            for snippet in found {
                let allowed = snippet.source == "all.md" || snippet.text == format!("secret unicorn of owner {asking}");
                prop_assert!(allowed, "{asking} saw {snippet:?}");
            }
        }
    }

    #[test]
    fn an_owner_is_read_only_as_it_is_written(text in "(0|00| 0|0 |\\*|null|[0-9A-Za-z]{26}|\\PC{0,30})") {
        match text.parse::<Owner>() {
            Ok(owner) => prop_assert_eq!(owner.to_string(), text),
            Err(_) => prop_assert!(text != "0"),
        }
    }

    #[test]
    fn pages_of_any_text_can_be_loaded(text in "[# \\PC\n`]{0,400}") {
        let knowledge = Knowledge::new(Arc::new(WordsIndex::new()));
        let loaded = now(knowledge.load(&Owner::Everyone, &[page("x.md", &text)])).unwrap();
        prop_assert_eq!(loaded.written, 1);
    }
}
