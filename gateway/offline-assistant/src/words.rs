//! What a person typed, as words that rules can look for: lower case, without punctuation, common typing errors mended.

/// A longer message is read up to here; what matters stands at the beginning.
const WORDS_MAX: usize = 400;

/// Words that rules look for. A word that is none of them and no common one is taken for its nearest neighbour here.
const KNOWN: &str = "show display open chart candle candles graph plot switch change timeframe interval add put remove hide drop \
    clear delete indicator indicators strategy strategies file files code level levels support resistance line lines mark marker \
    markers breakout breakouts breakdown price prices quote quotes market markets trading compare versus mover movers biggest \
    largest gainer gainers loser losers watch watchlist list backtest backtests test simulate cross crossover crossing golden death \
    average averages moving simple exponential weighted bollinger bands donchian channel keltner momentum reversion oversold \
    overbought stochastic hold strategy return drawdown sharpe sortino fees fee commission explain result results last latest \
    remember forget memory conversation everything erase profile preferences prefer journal diary note notes entry write history \
    version versions commit undo revert difference diff changes python run execute calculate alert alerts notify order orders \
    position positions portfolio trade trades help what which where when why how about today yesterday hourly daily weekly monthly changed changing hodl remembered \
    minute minutes hour hours day days week weeks month months year years since until from between account health status feed \
    platform download load fetch bitcoin ethereum ether solana ripple cardano dogecoin litecoin polkadot chainlink avalanche \
    instrument instruments symbol symbols tickers available walk forward monte carlo sweep optimise optimize parameters risk \
    overfitting hello thanks please good morning evening";

/// Words of daily life that are near to a known one and mean something else.
const LEFT_ALONE: &str = "chat there their then than them these those your have hour here head read real rate late lane lost most cost \
    post past part party path plan play place play pace race slow shop stop step spot sport story store start stay such much \
    must just best rest west nest next text tent went want wait walk talk tall fall full pull bull well sell tell bell \
    long song wrong strong along long short shirt sheet share chare scale candy sandy handy fast cast case care core more \
    move love live life like bike time tame name same some come done gone none node mode made make take cake sake wake \
    side size wide ride rise wise rice nice mine line fine find mind kind king ring rung thing think thank tank bank back pack \
    sale seen need feed feet meet mean moan loan lean learn clean clear near year hear bear wear team term form farm firm \
    fire hire wire tire tried trend trends trust crust cross close clone alone atone value volume would could should \
    lose loses losing lost open buys sold hold held help self half call ball wall bill will fill kill pill mill milk trail train brain drain grain \
    market maker taker tick ticks ever never very even event open pen often offer other after alter mother order border \
    every under until unit units sure pure cure curve serve never level lever clever dollar dollars cent cents money honey \
    cash dash bash wash push rush lunch bunch fund funds found round sound ground hand hands band land stand words word work \
    world wonder hours house mouse user users used uses using first third test tests rested best beat heat seat great \
    color colour weather whether poem joke story write wrote white while which watch match catch batch lunch march april \
    main pain gain again rain chain said paid raid laid that what hat flat float point points print joint";

/// The words of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    /// As typed, without the punctuation around them.
    raw: Vec<String>,
    /// In lower case and mended, in the same places.
    plain: Vec<String>,
    /// `plain`, with a blank before, between and behind.
    joined: String,
}

impl Words {
    pub(crate) fn new(text: &str) -> Self {
        let raw: Vec<String> = split(text).into_iter().take(WORDS_MAX).collect();
        let plain: Vec<String> = raw.iter().map(|word| mended(word)).collect();
        let joined = format!(" {} ", plain.join(" "));
        Self { raw, plain, joined }
    }

    /// How many.
    pub(crate) const fn len(&self) -> usize {
        self.plain.len()
    }

    /// As typed.
    pub(crate) fn raw(&self) -> &[String] {
        &self.raw
    }

    /// In lower case and mended.
    pub(crate) fn plain(&self) -> &[String] {
        &self.plain
    }

    /// Whether this word, or these words in a row, are there.
    pub(crate) fn has(&self, phrase: &str) -> bool {
        self.joined.contains(&format!(" {phrase} "))
    }

    /// Whether one of these is there.
    pub(crate) fn any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }

    /// Whether it begins with one of these.
    pub(crate) fn begins(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.joined.starts_with(&format!(" {phrase} ")))
    }

    /// [`Words::any`] of a list such as `price|how much`.
    pub(crate) fn says(&self, phrases: &str) -> bool {
        phrases.split('|').any(|phrase| self.has(phrase))
    }

    /// [`Words::begins`] with one of a list such as `hello|hi`.
    pub(crate) fn opens(&self, phrases: &str) -> bool {
        phrases.split('|').any(|phrase| self.joined.starts_with(&format!(" {phrase} ")))
    }

    /// Place behind the first of these words.
    pub(crate) fn behind(&self, words: &[&str]) -> Option<usize> {
        self.plain.iter().position(|word| words.contains(&word.as_str())).map(|at| at + 1)
    }

    /// Whole numbers that stand alone, with their places.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.plain.iter().enumerate().filter_map(|(at, word)| word.parse().ok().map(|number| (at, number)))
    }
}

/// What follows a mark such as "remember that", as it was typed, without the punctuation at its ends.
pub(crate) fn text_behind<'a>(text: &'a str, marks: &[&str]) -> Option<&'a str> {
    // Lower case may change the length of a letter: only ASCII is lowered here, so places stay.
    let lower = text.to_ascii_lowercase();
    // The first mark in the text; of those that begin there the longest.
    let places = marks.iter().filter_map(|mark| lower.find(mark).map(|at| (at, std::cmp::Reverse(mark.len()))));
    let (at, std::cmp::Reverse(length)) = places.min()?;
    let rest = text
        .get(at + length..)?
        .trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, ':' | '"' | '“' | '”'));
    (!rest.is_empty()).then_some(rest)
}

fn split(text: &str) -> Vec<String> {
    let text = text.replace(['’', '`'], "'");
    let mut words = Vec::new();
    for piece in text.split(|letter: char| letter.is_whitespace() || "()[]{};\"“”|<>".contains(letter)) {
        for part in commas(piece) {
            let word = part.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '%' && letter != '_');
            let whole = keeps_hyphen(word) || !word.contains('-');
            for word in if whole { vec![word] } else { word.split('-').collect() } {
                push(&mut words, word);
            }
            if words.len() > WORDS_MAX {
                return words;
            }
        }
    }
    words
}

/// `10,000` is one number, `BTC,ETH` two words.
fn commas(piece: &str) -> Vec<String> {
    let parts: Vec<&str> = piece.split(',').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let thousands = parts.len() > 1
        && digits(parts[0].trim_start_matches(|letter: char| !letter.is_ascii_digit()))
        && parts[1..].iter().all(|part| part.len() >= 3 && digits(&part[..part.floor_char_boundary(3)]));
    if thousands { vec![parts.concat()] } else { parts.into_iter().map(str::to_owned).collect() }
}

/// Dates, and names of markets such as `BTC-USD`, are one word.
fn keeps_hyphen(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let date = parts.len() == 3 && parts[0].len() == 4 && parts[0].bytes().all(|byte| byte.is_ascii_digit());
    let quoted = parts.len() == 2 && crate::markets::is_quote(&parts[1].to_ascii_uppercase()) && parts[0].len() <= 10;
    let venue = word.eq_ignore_ascii_case("binance-usdm");
    date || quoted || venue
}

fn push(words: &mut Vec<String>, word: &str) {
    let lower = word.to_lowercase();
    let short =
        lower.strip_suffix("'s").filter(|word| ["what", "it", "that", "where", "how", "who", "here"].contains(word));
    if let Some(word) = short {
        words.extend([word.to_owned(), "is".to_owned()]);
    } else if !word.is_empty() {
        words.push(word.replace("'s", "").replace('\'', ""));
    }
}

fn mended(word: &str) -> String {
    let lower = word.to_lowercase();
    let letters = lower.bytes().all(|byte| byte.is_ascii_lowercase());
    if !letters || !(4..=16).contains(&lower.len()) || is_listed(KNOWN, &lower) || is_listed(LEFT_ALONE, &lower) {
        return lower;
    }
    let far = if lower.len() < 8 { 1 } else { 2 };
    let near = |known: &&str| known.len() >= 4 && known.as_bytes()[0] == lower.as_bytes()[0];
    let nearest = KNOWN.split_whitespace().filter(near).map(|known| (distance(&lower, known), known)).min();
    match nearest {
        Some((steps, known)) if steps <= far => known.to_owned(),
        _ => lower,
    }
}

fn is_listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

/// Whether rules look for this word.
pub(crate) fn is_known(word: &str) -> bool {
    is_listed(KNOWN, word)
}

/// Letters to insert, leave out, replace or swap with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (at, row) in rows.iter_mut().enumerate() {
        row[0] = at;
    }
    rows[0] = (0..=right.len()).collect();
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_punctuation_and_keep_their_names() {
        let words = Words::new(
            "What's BTC/USDT's \"price\"? RSI(14), 10,000 USD since 2026-01-01; BTC-USD mean-reversion my_file",
        );
        assert_eq!(
            words.plain(),
            [
                "what",
                "is",
                "btc/usdt",
                "price",
                "rsi",
                "14",
                "10000",
                "usd",
                "since",
                "2026-01-01",
                "btc-usd",
                "mean",
                "reversion",
                "my_file"
            ]
        );
        assert!(words.has("what is") && words.has("mean reversion") && !words.has("hat is"));
    }

    #[test]
    fn common_typing_errors_are_mended_and_other_words_left_alone() {
        for (typed, meant) in [
            ("bakctest", "backtest"),
            ("stratgy", "strategy"),
            ("stragegies", "strategies"),
            ("brekouts", "breakouts"),
            ("resistence", "resistance"),
            ("watchlst", "watchlist"),
            ("bitcion", "bitcoin"),
            ("bolinger", "bollinger"),
            ("chat", "chat"),
            ("prince", "price"),
            ("weather", "weather"),
            ("trend", "trend"),
        ] {
            assert_eq!(mended(typed), meant, "{typed}");
        }
    }

    #[test]
    fn what_follows_a_mark_is_as_it_was_typed() {
        let marks = ["remember that ", "remember "];
        assert_eq!(text_behind("Please REMEMBER that: I like ETH. ", &["remember that"]), Some("I like ETH."));
        assert_eq!(text_behind("remember İ like", &marks), Some("İ like"));
        assert_eq!(text_behind("remember that", &["remember that"]), None);
    }
}
