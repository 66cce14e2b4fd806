//! Whole turns: every example prompt to its end, follow-ups, and what is said when a tool refuses.

use crate::conversation::Conversation;
use crate::world::World;
use offline_assistant::example_prompts;
use serde_json::json;

fn refused(code: &str, field: &str, message: &str) -> String {
    json!({"error": {"code": code, "field": field, "message": message}}).to_string()
}

#[tokio::test]
async fn every_example_prompt_works_to_its_end_for_a_new_user() {
    let prompts = example_prompts();
    assert!((6..=8).contains(&prompts.len()));
    // One after the other, as a person clicks them.
    let mut conversation = Conversation::new(World::empty());
    for (prompt, tools, said) in [
        (prompts[0], "show_chart find_breakouts mark_chart", "The last 2 breakouts are marked on the chart"),
        (prompts[1], "write_strategy run_backtest", "| return | +4.23 % |"),
        (prompts[2], "list_backtests read_backtest", "**What speaks against it**"),
        (prompts[3], "get_price", "| ETH/USDT | SIM | 2634.10 | -2.5 % |"),
        (prompts[4], "show_chart find_levels mark_chart", "resistance at 62500, touched 3 times"),
        (prompts[5], "list_strategies", "`sma_cross_20_50`"),
        (prompts[6], "set_context", "Noted in your profile"),
        (prompts[7], "", "rules without a language model"),
    ] {
        let told = conversation.say(prompt.text).await;
        assert_eq!(told.tools.join(" "), tools, "{}: {}", prompt.id, told.text);
        assert!(told.text.contains(said), "{}: {}", prompt.id, told.text);
        assert!(!told.text.contains("did not"), "{}: {}", prompt.id, told.text);
    }
}

#[tokio::test]
async fn every_example_prompt_works_alone() {
    for prompt in example_prompts() {
        let told = Conversation::new(World::empty()).say(prompt.text).await;
        let early = if prompt.id == "explain" { "There is no backtest yet" } else { "" };
        assert!(told.text.len() > 20 && told.text.contains(early), "{}: {}", prompt.id, told.text);
    }
}

#[tokio::test]
async fn a_backtest_is_told_with_what_speaks_against_it() {
    let mut conversation = Conversation::new(World::empty());
    let told = conversation.say("Backtest a 20/50 cross on ETH 4h over the last year").await;
    assert_eq!(told.tools, ["list_instruments", "write_strategy", "run_backtest"]);
    let run = &told.arguments[2];
    assert_eq!(
        run["market"],
        json!({"venue": "SIM", "symbol": "ETH/USDT", "interval": "4h", "from": "2025-03-15T10:00:00Z", "to": "2026-03-15T10:00:00Z"})
    );
    assert_eq!(run["checks"]["look_ahead"], true);
    for said in [
        "+4.23 %",
        "+6.11 %",
        "12.34 %",
        "0.87",
        "| round trips | 31 |",
        "301.55",
        "10000 → 10423.07",
        "clean",
        "28 repetitions",
        "The market is simulated",
        "Holding the instrument did as well or better",
        "3 candles of the range are missing",
        "Fees are 0.1 %",
        "01JQ",
    ] {
        assert!(told.text.contains(said), "{said}: {}", told.text);
    }
    assert!(conversation.world.strategy("sma_cross_20_50").unwrap().contains("fast = 20"));
}

#[tokio::test]
async fn a_strategy_that_the_user_changed_is_tested_as_it_is_and_not_overwritten() {
    let mut conversation = Conversation::new(World::lived_in());
    conversation.say("backtest a 20/50 cross on it").await;
    let same = conversation.say("backtest a 20/50 cross on it").await;
    assert_eq!(same.tools, ["read_strategy", "run_backtest"], "the same code is not written twice");
    conversation.say("save this as strategy sma_cross_20_50\n```python\nimport dexorder  # mine\n```").await;
    let own = conversation.say("backtest a 20/50 cross on it").await;
    assert_eq!(own.tools, ["read_strategy", "run_backtest"]);
    assert!(own.text.contains("overwrote nothing"), "{}", own.text);
    assert_eq!(conversation.world.strategy("sma_cross_20_50").as_deref(), Some("import dexorder  # mine"));
}

#[tokio::test]
async fn a_short_message_means_the_one_before_it() {
    let mut conversation = Conversation::new(World::lived_in());
    conversation.say("backtest a 20/50 cross on BTC 1h").await;
    let same = conversation.say("same on ETH").await;
    assert_eq!(same.arguments.last().unwrap()["market"]["symbol"], "ETH/USDT", "{:?}", same.tools);
    let same = conversation.say("and over the last 30 days").await;
    assert_eq!(same.arguments.last().unwrap()["market"]["from"], "2026-02-13T10:00:00Z", "{:?}", same.tools);
    conversation.say("support and resistance levels").await;
    let tried = conversation.say("try 10/30 instead").await;
    assert_eq!(tried.arguments.last().unwrap()["strategy"], "sma_cross_10_30", "{:?}", tried.tools);
    conversation.say("what is the price of BTC").await;
    let and = conversation.say("and SOL?").await;
    assert_eq!(and.tools, ["get_price"]);
    assert!(and.text.contains("**SOL/USDT** on SIM stands at 141.07"), "{}", and.text);
    let it = conversation.say("explain the last backtest").await;
    assert!(it.text.contains("ETH/USDT") || it.text.contains("BTC/USDT"), "{}", it.text);
}

#[tokio::test]
async fn prices_are_those_of_the_tool_with_time_and_freshness() {
    let mut conversation = Conversation::new(World::lived_in());
    let told = conversation.say("what is the price of ETH?").await;
    assert!(
        told.text.contains(
            "**ETH/USDT** on SIM stands at 2634.10 (as of 2026-03-15 10:20 UTC, 0.4 s old, simulated market)"
        ),
        "{}",
        told.text
    );
    let told = conversation.say("biggest mover on my watch list").await;
    assert_eq!(told.tools, ["get_watchlist", "get_price"]);
    assert!(told.text.contains("**SOL/USDT**: -3.75 %"), "{}", told.text);
    let told = conversation.say("top gainer of my watch list").await;
    assert!(told.text.contains("**BTC/USDT**: +1.25 %"), "{}", told.text);
    let told = conversation.say("price of DOGE").await;
    assert!(
        told.text.contains("No price for DOGE")
            && told.text.contains("I do not guess a price")
            && told.text.contains("SIM:BTC/USDT"),
        "{}",
        told.text
    );
}

#[tokio::test]
async fn a_stale_price_is_called_stale() {
    let mut world = World::lived_in();
    let old = json!({"prices": [{"venue": "KRAKEN", "symbol": "BTC/USD", "price": "60000", "time": "2026-03-15T09:00:00Z", "age_ms": 4_830_000, "mode": "LIVE"}], "errors": []});
    world.outcomes.insert("get_price", old.to_string());
    let told = Conversation::new(world).say("price of BTC").await;
    assert!(told.text.contains("80 min old, not fresh"), "{}", told.text);
}

#[tokio::test]
async fn everything_is_forgotten_only_after_a_yes_right_after_the_question() {
    let mut conversation = Conversation::new(World::lived_in());
    assert!(conversation.say("yes").await.tools.is_empty());
    assert!(conversation.say("forget everything").await.text.contains("Answer **yes**"));
    assert_eq!(conversation.say("no, keep it").await.text, "Nothing was deleted.");
    assert!(conversation.say("yes").await.tools.is_empty(), "the question was answered before");
    conversation.say("forget everything").await;
    conversation.say("price of BTC").await;
    assert!(conversation.say("yes").await.tools.is_empty(), "something else came in between");
    assert_eq!(conversation.world.messages(), 1);
    conversation.say("forget everything").await;
    let told = conversation.say("Yes.").await;
    assert_eq!(told.tools, ["erase_conversation"]);
    assert!(told.text.contains("1 messages, 0 are left"), "{}", told.text);
    assert_eq!(conversation.world.messages(), 0);
}

#[tokio::test]
async fn what_is_remembered_is_added_to_the_profile_and_told_back() {
    let mut conversation = Conversation::new(World::lived_in());
    conversation.say("remember that I prefer the 4h chart").await;
    conversation.say("remember that I risk 1 % a trade").await;
    assert_eq!(conversation.world.profile()["notes"], json!(["I prefer the 4h chart", "I risk 1 % a trade"]));
    let told = conversation.say("what do you know about me?").await;
    assert!(told.text.contains("I prefer the 4h chart") && told.text.contains("I risk 1 % a trade"), "{}", told.text);
    let told = conversation.say("what did I say about risk?").await;
    assert!(told.text.contains("> I never risk more than 2 percent"), "{}", told.text);
}

#[tokio::test]
async fn lists_are_changed_from_what_they_are() {
    let mut conversation = Conversation::new(World::lived_in());
    let told = conversation.say("add ETH and XRP to my watch list").await;
    assert_eq!(told.tools, ["get_watchlist", "list_instruments", "set_watchlist"]);
    assert_eq!(conversation.world.watchlist(), ["SIM:BTC/USDT", "SIM:SOL/USDT", "SIM:ETH/USDT", "SIM:XRP/USDT"]);
    conversation.say("remove SOL from my watch list").await;
    assert_eq!(conversation.world.watchlist(), ["SIM:BTC/USDT", "SIM:ETH/USDT", "SIM:XRP/USDT"]);
    let told = conversation.say("add BTC to my watch list").await;
    assert!(told.text.contains("already") && !told.tools.contains(&"set_watchlist".to_owned()), "{}", told.text);
    let told = conversation.say("add to my journal: waited, was right").await;
    assert!(told.text.contains("> waited, was right"), "{}", told.text);
    assert!(conversation.say("show my journal").await.text.contains("waited, was right"));
}

#[tokio::test]
async fn files_are_shown_compared_and_brought_back() {
    let mut conversation = Conversation::new(World::lived_in());
    assert!(conversation.say("show my strategies").await.text.contains("`momentum_v2`: About it."));
    assert!(conversation.say("show strategy idea").await.text.contains("```python\nimport dexorder\n```"));
    let told = conversation.say("history of idea").await;
    assert!(told.text.contains("Write strategies/idea.py"), "{}", told.text);
    assert!(conversation.say("what changed in idea").await.text.contains("only one version"));
    conversation.say("save this as strategy idea\n```python\nx = 2\n```").await;
    let told = conversation.say("what changed in idea").await;
    assert_eq!(told.tools, ["file_history", "file_diff"]);
    assert!(told.text.contains("+fast = 20"), "{}", told.text);
    let told = conversation.say("undo the last change").await;
    assert_eq!(told.tools, ["file_history", "revert_commit"]);
    assert!(told.text.starts_with("Undone"), "{}", told.text);
    let told = conversation.say("calculate\n```python\nprint(2+2)\n```").await;
    assert!(told.text.contains("Output:\n\n```\n4\n```"), "{}", told.text);
}

#[tokio::test]
async fn knowledge_is_quoted_with_its_page() {
    let told = Conversation::new(World::empty()).say("how do I avoid overfitting?").await;
    assert!(
        told.text.contains("How to avoid overfitting") && told.text.contains("knowledge/look-ahead-and-overfitting.md"),
        "{}",
        told.text
    );
}

#[tokio::test]
async fn a_refusal_is_explained_with_the_next_step() {
    for (tool, phrase, outcome, said) in [
        (
            "run_backtest",
            "backtest idea 1h last 2 years",
            refused("NO_DATA", "from", "the lake has nothing of this market in this time"),
            "\"backtest idea on BTC/USDT 1h last 182 days\"",
        ),
        (
            "run_backtest",
            "backtest idea",
            refused("QUOTA", "from", "12 000 000 rows: the limit is 10 000 000"),
            "limit of your tier",
        ),
        ("run_backtest", "backtest idea", refused("TIMED_OUT", "", "stopped after 60 s"), "shorter range"),
        ("run_backtest", "backtest idea", refused("RAISED", "", "Traceback: ZeroDivisionError"), "code has to change"),
        ("run_backtest", "backtest idea", refused("NO_PYTHON", "", "no python3"), "Python is missing"),
        ("write_strategy", "backtest a 20/50 cross", refused("QUOTA", "total_bytes", "full"), "make room"),
        ("read_strategy", "show strategy ghost_rider", refused("NOT_FOUND", "name", "no such file"), "Check the name"),
        ("show_chart", "show FOO/USDT 1h", refused("NOT_FOUND", "symbol", "no such instrument"), "did not do it"),
        (
            "find_breakouts",
            "mark the last breakouts",
            refused("NO_DATA", "", "no candles"),
            "`find_breakouts` did not do it",
        ),
        (
            "mark_chart",
            "mark the last breakouts",
            refused("FAILED", "", "no chart is open"),
            "They are not marked on the chart",
        ),
        ("platform_health", "platform health", refused("SOMETHING_NEW", "", "?"), "Ask again in a moment"),
        (
            "set_context",
            "remember that I like tea",
            refused("QUOTA", "total_bytes", "full"),
            "`set_context` did not do it",
        ),
        ("get_price", "price of BTC", "no json".to_owned(), "cannot read"),
        ("run_backtest", "backtest idea", "{\"id\": \"1\"}".to_owned(), "no result that I can read"),
        ("erase_conversation", "forget everything", "{}".to_owned(), "deletes every saved message"),
    ] {
        let mut world = World::lived_in();
        world.outcomes.insert(tool, outcome);
        let told = Conversation::new(world).say(phrase).await;
        assert!(told.text.contains(said), "{tool}, {phrase}: {}", told.text);
        for claim in ["is marked", "are marked on", "Noted", "Saved as", "Erased", "return |"] {
            assert!(!told.text.contains(claim), "{tool}, {phrase} claims {claim}: {}", told.text);
        }
    }
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    for (missing, phrase) in [
        ("run_backtest", "backtest idea"),
        ("show_chart", "show ETH"),
        ("search_conversation", "what did I say about risk"),
        ("run_python", "```python\n1\n```"),
    ] {
        let mut world = World::lived_in();
        world.missing = vec![missing];
        let told = Conversation::new(world).say(phrase).await;
        assert!(told.text.contains(&format!("needs the tool `{missing}`")), "{phrase}: {}", told.text);
        assert_eq!(told.tools, Vec::<String>::new(), "{phrase}");
    }
}

#[tokio::test]
async fn without_a_known_profile_a_note_goes_into_the_memory() {
    let mut world = World::lived_in();
    world.missing = vec!["set_context"];
    let mut conversation = Conversation::new(world);
    let told = conversation.say("remember that I like tea").await;
    assert_eq!(told.tools, ["save_message"]);
    assert!(
        told.text.contains("Saved in your conversation memory") && conversation.world.messages() == 2,
        "{}",
        told.text
    );
}
