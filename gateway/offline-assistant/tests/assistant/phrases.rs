//! What each phrase calls first, or says if it calls nothing: `tool:leaf,leaf` for calls with these values among their arguments, `say:text`.

use crate::conversation::{Conversation, NOW_NS};
use crate::world::World;
use harness::model::Message;
use jiff::Timestamp;
use offline_assistant::answer;
use serde_json::Value;

/// With a chart of `SIM:BTC/USDT` 1h, strategies `idea` and `momentum_v2`, an indicator `channel_width`.
const LIVED_IN: &[(&str, &str)] = &[
    // Chart.
    (
        "Show BTC 1h with RSI and mark the last breakouts",
        "show_chart:SIM,BTC/USDT,1h,rsi find_breakouts:BTC/USDT,1h,20,5",
    ),
    ("show btc 1h", "show_chart:BTC/USDT,1h"),
    ("Show me ETH on the 4h chart", "show_chart:ETH,4h"),
    ("eth/usdt 15m chart please", "show_chart:ETH/USDT,15m"),
    ("chart ETHUSDT hourly", "show_chart:ETH/USDT,1h"),
    ("open bitcoin daily", "show_chart:BTC/USDT,1d"),
    ("Solana 5 min", "show_chart:SOL,5m"),
    ("display SOL with macd and ema 50", "show_chart:SOL,macd,ema,50"),
    ("plot ethereum with bollinger bands 20 2", "show_chart:ETH,bollinger,20,2"),
    ("switch to 5m", "show_chart:BTC/USDT,5m"),
    ("swich to 15 minutes", "show_chart:BTC/USDT,15m"),
    ("change the timeframe to 4h", "show_chart:BTC/USDT,4h"),
    ("change to daily", "show_chart:BTC/USDT,1d"),
    ("1m", "show_chart:BTC/USDT,1m"),
    ("ETH", "show_chart:ETH,1h"),
    ("BTC 4h", "show_chart:BTC/USDT,4h"),
    ("go to SOL/USDT", "show_chart:SOL/USDT"),
    ("binance btc chart", "show_chart:BINANCE,BTC"),
    ("show BINANCE:ETH/USDT 1h", "show_chart:BINANCE,ETH/USDT,1h"),
    ("add bollinger bands", "change_chart:bollinger"),
    ("add RSI", "change_chart:rsi"),
    ("put a 200 ema on it", "change_chart:ema,200"),
    ("add 20 and 50 sma", "change_chart:sma,20,50"),
    ("add MACD and ATR", "change_chart:macd,atr"),
    ("add the stochastic rsi", "change_chart:stoch_rsi"),
    ("also vwap please", "change_chart:vwap"),
    ("bolinger bands", "change_chart:bollinger"),
    ("remove indicators", "change_chart:indicators"),
    ("remove all indicators", "change_chart:indicators"),
    ("remove the RSI", "change_chart:rsi"),
    ("hide bollinger", "change_chart:bollinger"),
    ("clear the chart", "change_chart:indicators,drawings"),
    ("remove the levels", "change_chart:drawings"),
    ("clear all markers", "change_chart:drawings"),
    ("support and resistance levels", "show_chart:BTC/USDT find_levels:BTC/USDT,1h"),
    ("draw support and resistence", "show_chart:BTC/USDT find_levels:BTC/USDT"),
    ("where is the support of ETH?", "show_chart:ETH find_levels:ETH"),
    ("key levels for SOL 4h", "show_chart:SOL,4h find_levels:SOL,4h"),
    ("mark the last 3 breakouts", "show_chart:BTC/USDT find_breakouts:3,20"),
    ("mark breakouts of 50 candles", "show_chart:BTC/USDT find_breakouts:50,5"),
    ("show the breakouts on eth 4h", "show_chart:ETH,4h find_breakouts:ETH,4h"),
    ("mark the brekouts", "show_chart:BTC/USDT find_breakouts:20"),
    ("show btc 30m", "show_chart:BTC/USDT,15m"),
    ("let's look at solana on the daily", "show_chart:SOL,1d"),
    ("take the rsi off", "change_chart:rsi"),
    ("did BTC break out recently?", "show_chart:BTC/USDT find_breakouts:BTC/USDT"),
    // Prices.
    ("how is the market today", "get_watchlist:"),
    ("what is the price of ETH", "get_price:ETH"),
    ("What's the price of bitcoin?", "get_price:SIM:BTC/USDT"),
    ("price", "get_price:SIM:BTC/USDT"),
    ("btc price", "get_price:SIM:BTC/USDT"),
    ("how much is solana", "get_price:SOL"),
    ("how much is one ETH worth?", "get_price:ETH"),
    ("what is XRP trading at", "get_price:XRP"),
    ("how is bitcoin doing", "get_price:SIM:BTC/USDT"),
    ("what is the current price", "get_price:SIM:BTC/USDT"),
    ("quote for DOGE please", "get_price:DOGE"),
    ("ETH price on kraken", "get_price:KRAKEN:ETH"),
    ("compare BTC and ETH today", "get_price:SIM:BTC/USDT,ETH"),
    ("Compare bitcoin with ethereum and solana", "get_price:SIM:BTC/USDT,ETH,SOL"),
    ("BTC vs ETH", "get_price:SIM:BTC/USDT,ETH"),
    ("compare it with SOL", "get_price:SIM:BTC/USDT,SOL"),
    ("prices of BTC, ETH and SOL", "get_price:SIM:BTC/USDT,ETH,SOL"),
    ("biggest mover on my watch list", "get_watchlist:"),
    ("which coin moved most on my watchlist", "get_watchlist:"),
    ("top gainer of my watchlist", "get_watchlist:"),
    ("worst performer on my watch list", "get_watchlist:"),
    ("prices of my watch list", "get_watchlist:"),
    // Backtests.
    ("Backtest a 20/50 cross on it", "write_strategy:sma_cross_20_50"),
    ("backtest a 10/30 ema cross", "write_strategy:ema_cross_10_30"),
    ("bakctest 20 50 sma crossover", "write_strategy:sma_cross_20_50"),
    ("Backtest a golden cross on the daily chart", "write_strategy:sma_cross_50_200"),
    ("back test a 20/50 moving average cross on BTC/USDT 1h", "write_strategy:sma_cross_20_50"),
    ("test a 20/50 cross", "write_strategy:sma_cross_20_50"),
    ("backtest rsi mean reversion", "write_strategy:rsi_reversion_14_30_70"),
    ("backtest buying when rsi is below 25 and selling above 75", "write_strategy:rsi_reversion_14_25_75"),
    ("backtest bollinger bands", "write_strategy:bollinger_reversion_20"),
    ("backtest a breakout strategy", "write_strategy:breakout_20_10"),
    ("backtest donchian 55 20", "write_strategy:breakout_55_20"),
    ("backtest macd over the last month", "write_strategy:macd_12_26_9"),
    ("backtest buy and hold since 2025-01-01", "write_strategy:buy_and_hold"),
    ("backtest a 20/50 cross with shorts", "write_strategy:sma_cross_20_50_long_short"),
    ("Can you backtest a 20/50 cross?", "write_strategy:sma_cross_20_50"),
    ("please simulate a macd strategy on it", "write_strategy:macd_12_26_9"),
    ("Backtest a 20/50 cross on ETH", "list_instruments:ETH"),
    ("backtest idea", "run_backtest:idea,SIM,BTC/USDT,1h,10000,0.001"),
    ("backtest momentum_v2 on it with 5000 usd", "run_backtest:momentum_v2,5000"),
    ("backtest my strategy idea over the last 7 days", "run_backtest:idea,2026-03-08T10:00:00Z,2026-03-15T10:00:00Z"),
    ("backtest momentum_v2 since 2026-01-01", "run_backtest:momentum_v2,2026-01-01T00:00:00Z"),
    ("backtest idea from 2026-01-01 to 2026-02-01", "run_backtest:idea,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z"),
    ("backtest idea on the 4h chart with 0.05% fees", "run_backtest:idea,4h,0.0005"),
    ("backtest idea without fees", "run_backtest:idea,0"),
    ("run my strategy idea", "run_backtest:idea"),
    ("test momentum_v2", "run_backtest:momentum_v2"),
    ("backtest my strategy", "list_strategies:"),
    ("Explain the last backtest", "list_backtests:1"),
    ("how did the last backtest go?", "list_backtests:1"),
    ("what does my last backtest mean", "list_backtests:1"),
    ("is that result good?", "list_backtests:1"),
    ("summarise the latest backtest", "list_backtests:1"),
    ("list my backtests", "list_backtests:10"),
    ("show earlier backtests", "list_backtests:10"),
    ("backtests", "list_backtests:10"),
    // Files.
    ("Show my strategies", "list_strategies:"),
    ("list strategies", "list_strategies:"),
    ("which strategies do I have?", "list_strategies:"),
    ("my stratgies", "list_strategies:"),
    ("list my indicators", "list_indicators:"),
    ("show my files", "list_strategies:"),
    ("show strategy idea", "read_strategy:idea"),
    ("show me the code of momentum_v2", "read_strategy:momentum_v2"),
    ("open strategies/idea.py", "read_strategy:idea"),
    ("show indicator channel_width", "read_indicator:channel_width"),
    ("history of idea", "file_history:strategies/idea.py,20"),
    ("version history of strategy momentum_v2", "file_history:strategies/momentum_v2.py"),
    ("what changed in idea", "file_history:strategies/idea.py,2"),
    ("show the diff of momentum_v2", "file_history:strategies/momentum_v2.py,2"),
    ("undo the last change", "file_history:1"),
    ("revert idea", "file_history:strategies/idea.py,1"),
    ("delete strategy idea", "delete_file:strategies/idea.py"),
    ("write a 20/50 cross strategy", "write_strategy:sma_cross_20_50"),
    ("create a strategy that buys when rsi is oversold", "write_strategy:rsi_reversion_14_30_70"),
    ("save this as strategy my_idea\n```python\nimport dexorder\n```", "write_strategy:my_idea,import dexorder"),
    ("save as indicator spread_width:\n```\nimport dexorder\n```", "write_indicator:spread_width"),
    ("save this as a strategy\n```python\nx = 1\n```", "say:Under which name"),
    ("run this\n```python\nprint(2 + 2)\n```", "run_python:print(2 + 2)"),
    ("```python\n1 + 1\n```", "run_python:1 + 1"),
    ("backtest 20/50 on it since 2025", "write_strategy:sma_cross_20_50"),
    ("what would have happened if I bought and held it since 2024-01-01", "write_strategy:buy_and_hold"),
    ("does a macd strategy work on it?", "write_strategy:macd_12_26_9"),
    ("buy when RSI is below 30 on it over the last year", "write_strategy:rsi_reversion_14_30_70"),
    ("optimize the 20/50 cross on BTC", "write_strategy:sma_cross_20_50"),
    ("why did it lose money", "list_backtests:1"),
    ("compare the last two backtests", "list_backtests:10"),
    ("write an indicator", "say:Send the code in a code block"),
    ("show me my code", "list_strategies:"),
    // Memory and profile.
    ("what is my name", "say:profile is empty"),
    ("note: I was too greedy today", "set_context:user-profile"),
    ("forget what I said about risk", "say:cannot delete single messages"),
    ("remember that I prefer the 4h chart", "set_context:user-profile"),
    ("Please remember that my risk is 1 % per trade", "set_context:user-profile"),
    ("I prefer daily candles", "set_context:user-profile"),
    ("note that I only trade spot", "set_context:user-profile"),
    ("from now on call me Ada", "set_context:user-profile"),
    ("what did I say about risk?", "search_conversation:risk"),
    ("What did I tell you about stop losses", "search_conversation:stop losses"),
    ("do you remember what I said about ETH", "search_conversation:"),
    ("search my messages for leverage", "search_conversation:leverage"),
    ("what do you know about me", "say:profile is empty"),
    ("my preferences", "say:profile is empty"),
    ("forget everything", "say:deletes every saved message"),
    ("erase my conversation", "say:deletes every saved message"),
    ("delete all my messages", "say:deletes every saved message"),
    ("wipe your memory", "say:deletes every saved message"),
    // Watch list and journal.
    ("show my watch list", "get_watchlist:"),
    ("what is on my watchlist?", "get_watchlist:"),
    ("watchlist", "get_watchlist:"),
    ("add SOL to my watch list", "get_watchlist: list_instruments:SOL"),
    ("add BTC and ETH to my watchlist", "get_watchlist: list_instruments:BTC,ETH"),
    ("put BINANCE:ETH/USDT on my watchlist", "get_watchlist:"),
    ("remove SOL from my watch list", "get_watchlist:"),
    ("watch XRP", "get_watchlist: list_instruments:XRP"),
    ("add it to my watch list", "get_watchlist:"),
    ("show my journal", "journal:"),
    ("read my diary", "journal:"),
    ("add to my journal: closed too early, fear", "journal:closed too early, fear"),
    ("journal: waited for the breakout", "journal:waited for the breakout"),
    ("write \"missed the move\" in my journal", "journal:missed the move"),
    ("add an entry to my journal", "say:What shall I write"),
    // Platform.
    ("platform health", "platform_health:"),
    ("is the feed live?", "platform_health:"),
    ("status", "platform_health:"),
    ("which tier am I on", "get_account:"),
    ("my limits", "get_account:"),
    ("find instruments BTC", "list_instruments:BTC"),
    ("which symbols are available?", "list_instruments:"),
    ("list markets on kraken", "list_instruments:KRAKEN"),
    ("load history of BTC 1h since 2025-01-01", "request_history:SIM,BTC/USDT,1h,2025-01-01T00:00:00Z"),
    ("download candles for it", "request_history:SIM,BTC/USDT"),
    // Knowledge.
    ("what is RSI", "search_knowledge:what is RSI"),
    ("How do I read a backtest?", "search_knowledge:"),
    ("explain look-ahead", "search_knowledge:"),
    ("what is overfitting", "search_knowledge:"),
    ("how does the MACD work", "search_knowledge:"),
    ("what are support and resistance", "search_knowledge:"),
    ("how much should I risk per trade", "search_knowledge:"),
    ("why do breakouts fail", "search_knowledge:"),
    ("how do I write a strategy", "search_knowledge:"),
    // Talk, and what is not there.
    ("help", "say:rules without a language model"),
    ("What can you do?", "say:rules without a language model"),
    ("who are you", "say:offline assistant"),
    ("hello", "say:offline assistant"),
    ("Hi there!", "say:offline assistant"),
    ("thanks a lot", "say:welcome"),
    ("tell me when it drops 3 % in 1 h", "say:Alerts are not there yet"),
    ("set an alert at 70000", "say:Alerts are not there yet"),
    ("notify me if BTC breaks 65000", "say:Alerts are not there yet"),
    ("Buy 100 USD of BTC", "say:Nothing was bought or sold"),
    ("sell half of my ETH", "say:cannot place orders"),
    ("place a limit order at 60000", "say:cannot place orders"),
    ("open a long on BTC with 10x leverage", "say:cannot place orders"),
    ("set a stop loss at 60000", "say:cannot place orders"),
    ("what news are there about bitcoin", "say:no source of news"),
    ("show my positions", "say:trading is not there yet"),
    ("my portfolio", "say:trading is not there yet"),
    ("should I buy bitcoin?", "say:no advice"),
    ("will BTC go up tomorrow?", "say:no advice"),
    ("write me a poem about spring", "say:did not understand"),
    ("asdf qwer", "say:did not understand"),
    ("yes", "say:did not understand"),
];

/// Nothing is open, nothing saved.
const NEW: &[(&str, &str)] = &[
    ("Show BTC 1h with RSI and mark the last breakouts", "show_chart:BTC,1h,rsi find_breakouts:BTC"),
    ("Backtest a 20/50 cross on it", "list_instruments:BTC"),
    ("backtest a 20/50 cross on BINANCE:ETH/USDT 4h", "write_strategy:sma_cross_20_50"),
    ("Support and resistance levels", "show_chart:BTC find_levels:BTC"),
    ("price", "get_price:BTC"),
    ("Compare BTC and ETH today", "get_price:BTC,ETH"),
    ("add RSI", "change_chart:rsi"),
    ("switch to 5m", "show_chart:BTC,5m"),
    ("btc/usdt on binance 1h", "show_chart:BINANCE,BTC/USDT,1h"),
];

fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, found)),
        Value::String(text) => found.push(text.clone()),
        other => found.push(other.to_string()),
    }
}

/// Why a phrase does not do what it should.
async fn wrong(conversation: &Conversation, phrase: &str, expected: &str) -> Option<String> {
    let mut prompt = conversation.prompt().await;
    prompt.messages.push(Message::User { text: phrase.to_owned() });
    let reply = answer(&prompt, Timestamp::from_nanosecond(i128::from(NOW_NS)).unwrap());
    let told = format!(
        "{phrase:?}: expected {expected}, got {:?} {:?}",
        reply.calls.iter().map(|it| format!("{} {}", it.name, it.arguments)).collect::<Vec<_>>(),
        reply.text
    );
    if let Some(said) = expected.strip_prefix("say:") {
        return (!reply.calls.is_empty() || !reply.text.contains(said)).then_some(told);
    }
    let mut rest = expected;
    for (at, call) in reply.calls.iter().enumerate() {
        let Some(after) = rest.trim_start().strip_prefix(&format!("{}:", call.name)) else { return Some(told) };
        let next =
            reply.calls.get(at + 1).and_then(|next| after.find(&format!(" {}:", next.name))).unwrap_or(after.len());
        let (wanted, left) = after.split_at(next);
        rest = left;
        let mut found = Vec::new();
        leaves(&serde_json::from_str(&call.arguments).unwrap(), &mut found);
        let whole = found.iter().any(|leaf| leaf == wanted);
        if !whole
            && wanted.split(',').filter(|part| !part.is_empty()).any(|part| !found.iter().any(|leaf| leaf == part))
        {
            return Some(told);
        }
    }
    (reply.calls.is_empty() || !rest.trim().is_empty()).then_some(told)
}

#[tokio::test]
async fn each_phrase_calls_what_it_means() {
    assert!(LIVED_IN.len() + NEW.len() >= 150, "{}", LIVED_IN.len() + NEW.len());
    let mut failed = Vec::new();
    for (world, phrases) in [(World::lived_in(), LIVED_IN), (World::empty(), NEW)] {
        let conversation = Conversation::new(world);
        for (phrase, expected) in phrases {
            failed.extend(wrong(&conversation, phrase, expected).await);
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), LIVED_IN.len() + NEW.len(), failed.join("\n"));
}

#[tokio::test]
async fn case_and_punctuation_do_not_matter() {
    let conversation = Conversation::new(World::lived_in());
    let mut failed = Vec::new();
    for (phrase, expected) in LIVED_IN
        .iter()
        .filter(|(phrase, expected)| expected.starts_with("show_chart") || phrase.starts_with("Backtest"))
    {
        for variation in [phrase.to_lowercase(), format!("{phrase}!"), format!("  {phrase} ?")] {
            failed.extend(wrong(&conversation, &variation, expected).await);
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
