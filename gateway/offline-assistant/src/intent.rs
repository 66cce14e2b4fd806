//! What a message asks for, by rules in the order in which they apply.

use crate::markets::{Market, markets};
use crate::memory::ERASE_QUESTION;
use crate::studies::studies;
use crate::times;
use crate::turn::Turn;
use crate::words::Words;

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Help,
    Greeting,
    Thanks,
    Chart,
    Price,
    Movers,
    Backtest,
    WriteStrategy,
    ExplainBacktest,
    ListBacktests,
    ListFiles,
    ShowFile,
    FileHistory,
    FileDiff,
    Undo,
    DeleteFile,
    SaveCode,
    RunPython,
    Remember,
    Recall,
    Profile,
    AskErase,
    ForgetPart,
    NoSource,
    Erase,
    KeepMemory,
    Watchlist,
    Journal,
    Alert,
    Trade,
    Positions,
    Advice,
    LoadHistory,
    Health,
    Account,
    Instruments,
    Knowledge,
    Unknown,
}

type Rule = fn(&Turn<'_>, &Words) -> Option<Intent>;

/// The rules; the first that applies decides.
const RULES: [Rule; 12] =
    [answer_to_question, code, help, memory, lists, backtests, not_there_yet, files, platform, knowledge, market, talk];

/// What the user's message asks for.
pub(crate) fn read(turn: &Turn<'_>) -> Intent {
    RULES.iter().find_map(|rule| rule(turn, &turn.words)).unwrap_or(Intent::Unknown)
}

fn when(holds: bool, intent: Intent) -> Option<Intent> {
    holds.then_some(intent)
}

/// "Yes" counts only for the question that was asked just before.
fn answer_to_question(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    if turn.answered_before().is_none_or(|text| text.trim() != ERASE_QUESTION) {
        return None;
    }
    let yes = words.opens("yes|y|yep|sure|confirm|do it|erase|ok erase") && !words.says("not|no|dont|wait");
    let no = words.opens("no|n|nope|cancel|stop|dont|do not|keep|never");
    if yes { Some(Intent::Erase) } else { when(no, Intent::KeepMemory) }
}

fn code(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    crate::python::fenced_code(turn.said)?;
    let save = words.says("save|store|keep|write") && words.says("strategy|indicator|strategies|indicators");
    Some(if save { Intent::SaveCode } else { Intent::RunPython })
}

fn help(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    let asked = words.says(
        "what can you do|what can i do|what can i ask|what do you do|who are you|what are you|\
         how do you work|your commands|are you an ai|are you a bot|are you human|which model are you|\
         what model are you|how do i start|getting started",
    );
    when(asked || (words.opens("help|commands|/help|/start|start|examples") && words.len() <= 4), Intent::Help)
}

fn memory(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    let kept = "everything|conversation|conversations|memory|memories|messages|what i said|what i told you|\
         about me|chat history|all you know";
    let away = words.says("forget|erase|wipe|delete|clear");
    if words.says("forget what i said about|forget that i|forget about|forget my|forget the message") {
        return Some(Intent::ForgetPart);
    }
    if away && words.says(kept) || words.says("forget me|forget all|forget it all") {
        return Some(Intent::AskErase);
    }
    if words.says("what is my name|know about me|remember about me|my profile|my preferences|my settings")
        && !words.opens("set|remember|change")
    {
        return Some(Intent::Profile);
    }
    let recall = "what did i say|what did i tell|what have i said|what have i told|did i say|did i mention|\
         did i tell you|do you remember|what do you remember|what did we|did we talk|did we discuss|\
         search my messages|search our conversation|search the conversation|search conversation|\
         find in our conversation|what do i prefer|when did i say|when did we";
    if words.says(recall) {
        return Some(Intent::Recall);
    }
    let told = "i prefer|i like|i always|i never|i usually|i mostly|i only trade|call me|my name is|\
         my risk|from now on|i am a|i trade mostly";
    let asks = words.opens("note")
        || words.says("remember|keep in mind|note that|memorize|memorise|dont forget|do not forget");
    when((asks && !words.has("journal")) || words.opens(told), Intent::Remember)
}

fn lists(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    if words.says("journal|diary") {
        return Some(Intent::Journal);
    }
    let moving = words.says(
        "mover|movers|moved most|moved the most|moving most|moving the most|gainer|gainers|loser|\
         losers",
    ) || (words.says("best|worst|biggest|most|strongest|weakest")
        && words.says("performer|performers|performing|change|moved"));
    if (moving || words.says("how is the market|how are the markets|market today|market doing"))
        && markets(words).len() < 2
    {
        return Some(Intent::Movers);
    }
    let list = words.says("watchlist|watch list|watchlists|watch lists");
    let prices = words.says("price|prices|quotes|doing|compare|today");
    if list && prices && !words.says("add|remove") {
        return Some(Intent::Movers);
    }
    when(list || (words.opens("watch|unwatch|stop watching") && !markets(words).is_empty()), Intent::Watchlist)
}

fn backtests(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    let runs = words.says("backtests|back tests|runs");
    let run = runs || words.says("backtest|backtesting|back test|simulation|result|results|report");
    let past = words.says("last|latest|previous|recent|earlier|that|my|the|this|newest");
    let explains = words.says(
        "explain|interpret|understand|summarise|summarize|review|judge|read|mean|good|trust|\
         details|analyse|analyze",
    ) || words.says("how did|how was|how good|what came out|tell me about|what was|what were|what is");
    let general = words.opens("how do i|how to|what is a|how can i|how should i");
    if run && past && explains && !general {
        return Some(Intent::ExplainBacktest);
    }
    let why = words.says("why did it lose|why did it win|did it make money|was it profitable|is it profitable");
    if why {
        return Some(Intent::ExplainBacktest);
    }
    let lists = words.says("compare|list|show|see|which|what|earlier|past|previous|all") || words.len() <= 2;
    if runs && lists && !general && !crate::recipes::is_named(words) {
        return Some(Intent::ListBacktests);
    }
    if words.says("last backtest|latest backtest") && !words.opens("run|repeat") {
        return Some(Intent::ExplainBacktest);
    }
    let test = words.opens("test|try|simulate") || words.says("can you test|please test|test the|test my|simulate");
    let strategy = words.says("strategy|cross|crossover|reversion")
        || crate::recipes::is_named(words)
        || crate::backtest::named_strategy(turn).is_some();
    let works = words.opens("does|do|is|would") && words.says("work|works|worked|profitable|make money");
    // A rule for all times, not an order for now.
    let ideas = words.opens("buy when|buy if|sell when|go long when|long when|buying when");
    let sweeps = words.opens("optimise|optimize|sweep");
    if crate::recipes::is_named(words) && (works || sweeps || ideas || words.says("what would|would have")) {
        return Some(Intent::Backtest);
    }
    let backtest = words.says("backtest|backtesting|back test|how would");
    when(
        !general && ((backtest && !is_question(words)) || (test && strategy) || (words.has("how would") && strategy)),
        Intent::Backtest,
    )
    .or_else(|| when(words.opens("run my|run the") && words.has("strategy"), Intent::Backtest))
}

fn not_there_yet(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    let told = "tell me when|tell me if|tell me once|let me know when|let me know if|warn me|notify me|\
         ping me|remind me|alert me|wake me|message me when";
    if words.says(told) || words.says("alert|alerts|alarm|notification|notifications") {
        return Some(Intent::Alert);
    }
    if words.says("news|sentiment|headlines|on chain data|twitter") {
        return Some(Intent::NoSource);
    }
    let writing = words.says("strategy|strategies|hold|backtest|breakouts|signals|code");
    if words.says(
        "should i buy|should i sell|should i hold|is it a good time|good time to buy|worth buying|\
         will it go|will bitcoin|will btc|price prediction|predict|forecast|going to rise|\
         going to fall|make me rich|what should i buy",
    ) {
        return Some(Intent::Advice);
    }
    if words.says(
        "my positions|my position|my portfolio|my orders|open orders|open positions|my balance|my pnl|\
         positions|portfolio|/positions|/portfolio|/orders",
    ) && !writing
    {
        return Some(Intent::Positions);
    }
    let order = words.opens(
        "buy|sell|long|short|go long|go short|place|open a position|close my|close the position|\
         cancel my|can you buy|can you sell|please buy|please sell|i want to buy|i want to sell|trade|\
         liquidate|flatten",
    ) || words.says(
        "place an order|place a trade|open a long|open a short|set a stop|stop loss at|take profit at|market order|limit order|execute a trade|live trading|\
         paper trading|paper trade|trade for me|buy me|/stop|/flatten",
    );
    when(order && !writing && !is_question(words), Intent::Trade)
}

fn files(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    if words.says("undo|revert|roll back|rollback|take back") {
        return Some(Intent::Undo);
    }
    let kind = words.says("strategy|strategies|indicator|indicators|file|files|code|source|workspace");
    let named = crate::files::named_file(turn).is_some();
    let recipe = crate::recipes::is_named(words);
    let makes = words.says("write|create|make|build|generate|draft|code me|implement");
    if makes && !is_question(words) && (words.has("strategy") || (recipe && words.says("code|python"))) {
        return Some(Intent::WriteStrategy);
    }
    if words.says("diff|difference|what changed|changes|changed") && (kind || named) {
        return Some(Intent::FileDiff);
    }
    if words.says("history|versions|version|commits|commit") && (kind || named) && markets(words).is_empty() {
        return Some(Intent::FileHistory);
    }
    if words.says("delete|remove") && named && words.says("strategy|indicator|file") {
        return Some(Intent::DeleteFile);
    }
    let looks = words.says("show|list|see|open|read|print|display|view|what|which|code|source");
    if looks && named && (kind || studies(words).is_empty()) {
        return Some(Intent::ShowFile);
    }
    if makes && words.says("indicator|indicators") && !is_question(words) {
        return Some(Intent::SaveCode);
    }
    let mine =
        words.says("my code|strategies|my indicators|files|workspace|indicator files|saved indicators|own indicators");
    when(mine && (looks || words.len() <= 3 || words.has("do i have")), Intent::ListFiles)
}

fn platform(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    let loads = words.says("load|download|fetch|backfill|import|request");
    if loads && words.says("history|data|candles|historical|ticks") {
        return Some(Intent::LoadHistory);
    }
    let health = "platform health|health|feed status|system status|is the feed|are the feeds|feeds|feed|\
         connected|everything working|everything ok|is it live|is this live|is the data live|data live|\
         how fresh|/status|/health|status";
    if words.says(health) && !words.says("healthy diet") {
        return Some(Intent::Health);
    }
    if words.says(
        "my account|which tier|what tier|my tier|my plan|my limits|my quota|who am i|account|\
         /limits|/cost|how much have i spent",
    ) {
        return Some(Intent::Account);
    }
    let things = words.says("instruments|instrument|symbols|markets|coins|pairs|tickers|venues|exchanges");
    let lists = words.says("find|search|list|which|what|available|show|all");
    when(things && lists && !words.has("compare"), Intent::Instruments)
}

/// Questions about how things work, not about a market now.
fn is_question(words: &Words) -> bool {
    words.opens(
        "what is|what are|what does|explain|how does|how do|how to|how can|how should|\
         how much should|why|define|tell me about|what means|describe|when should|which indicator|\
         what makes|can you explain|is it possible|teach me|how many candles|how reliable|how is the",
    )
}

fn knowledge(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    let here = !markets(words).is_empty()
        || words.says("price|prices|on it|here|now|currently|today|the chart|my chart|trading at|worth");
    let levels = words.says("levels|the support|the resistance") && turn.current_market().is_some();
    when(is_question(words) && !here && !levels, Intent::Knowledge)
}

fn market(turn: &Turn<'_>, words: &Words) -> Option<Intent> {
    let found: Vec<Market> = markets(words);
    let draws = words.says(
        "chart|look|see|view|show|display|draw|plot|graph|candles|mark|switch|change|zoom|open|add|put|\
         overlay|timeframe|remove|hide|clear|set",
    );
    let studied = !studies(words).is_empty();
    let marked = words.says(
        "break out|broke out|breaking out|breakout|breakouts|breakdown|breakdowns|support|resistance|levels|level|indicators|markers|\
         lines|drawings",
    );
    let timed = times::interval(words).is_some();
    let versus = words.says("compare|versus|vs|against|comparison|better|stronger")
        || (words.says("and|or") && words.says("price|prices"));
    let priced = words.says(
        "price|prices|quote|quotes|how much|worth|trading at|cost|costs|doing|stand|stands|\
         standing|ticker|rate|bid|ask|spread|moved|performing|what is|how is|how are|where is|\
         up or down|today|24h|volume of|going",
    );
    if found.len() > 1 && versus && !studied {
        return Some(Intent::Price);
    }
    let charted = words.says("chart|candles|plot|draw|mark|graph|timeframe|switch") || studied || marked;
    let price_word = words.says("compare|price|prices|quote|ticker|how much|trading at|worth|bid|spread");
    let other = words.says("history|data|news");
    if (priced || price_word)
        && !other
        && !charted
        && (price_word || !found.is_empty())
        && !(timed && words.has("show"))
    {
        return Some(Intent::Price);
    }
    let alone = (!found.is_empty() && words.len() <= 4) || (timed && words.len() <= 5);
    when(charted || alone || (draws && (!found.is_empty() || timed)), Intent::Chart)
        .filter(|_| !found.is_empty() || is_about_chart(turn, words))
}

/// Without a market: only what a chart can do.
fn is_about_chart(turn: &Turn<'_>, words: &Words) -> bool {
    let told = words.says(
        "chart|indicator|indicators|candles|breakout|breakouts|levels|support|resistance|markers|\
         lines|drawings|timeframe|mark",
    );
    told || !studies(words).is_empty()
        || times::interval(words).is_some()
        || (turn.current_market().is_some() && words.says("graph|plot"))
}

fn talk(_: &Turn<'_>, words: &Words) -> Option<Intent> {
    if words.says("thanks|thank you|thx|cheers|great job|well done|perfect")
        || words.opens("ok|okay|cool|nice|great") && words.len() <= 3
    {
        return Some(Intent::Thanks);
    }
    let hello = words.opens(
        "hello|hi|hey|good morning|good evening|good afternoon|greetings|yo|howdy|how are you|\
         whats up|what is up",
    );
    when(hello, Intent::Greeting)
}
