// Scripted answers of the mock's assistant: what each message makes happen, event by event.
//
// A script is an async generator over `say`: it yields events without numbers and pauses in milliseconds. It looks at
// `turn.stopped` by itself only where it waits; whoever runs it ends it at the next step.

const DAY = 86_400_000;
const iso = (ms) => new Date(ms).toISOString();

/** Words one by one, as a model streams them. */
async function* stream(round, text, pause = 18) {
  for (const word of text.match(/\S+\s*/g) ?? []) {
    yield { type: 'text_delta', round, text: word };
    yield pause;
  }
}

const started = (call_id, round, tool, title, args) => ({
  type: 'tool_started',
  call_id,
  round,
  tool,
  title,
  arguments: args,
});

const ended = (call_id, summary, rest = {}) => ({
  type: 'tool_ended',
  call_id,
  ok: true,
  duration_ms: 12,
  summary,
  cards: [],
  chart: [],
  ...rest,
});

const cite = (text, number, call_id) => ({
  number,
  at: Buffer.byteLength(text.slice(0, text.indexOf(number))),
  call_id,
});

const end = (text, rest = {}) => ({
  type: 'turn_ended',
  outcome: 'complete',
  text,
  citations: [],
  usage: { input_tokens: 1830, cached_tokens: 1200, output_tokens: 164 },
  cost_micro_usd: 2140,
  problem: null,
  ...rest,
});

async function* chart({ market }) {
  const now = Date.now();
  const price = Number(market.quote(now / 1000).bid_price);
  const level = (price * 1.01).toFixed(2);
  yield started('c1', 0, 'show_chart', 'Chart BTC/USDT 1h', { symbol: 'BTC/USDT', interval: '3600s' });
  yield 60;
  yield ended('c1', `${market.venue} BTC/USDT 1h`, {
    chart: [{ action: 'show', venue: market.venue, symbol: 'BTC/USDT', interval: '3600s' }],
  });
  yield started('c2', 0, 'chart_indicators', 'Add RSI 14', { name: 'rsi', params: { length: 14 } });
  yield 40;
  yield ended('c2', 'RSI 14', { chart: [{ action: 'add_indicator', name: 'rsi', params: { length: 14 } }] });
  yield started('c3', 0, 'mark_breakouts', 'Mark the last breakouts', { lookback: 20 });
  yield 80;
  const markers = [9, 26, 51].map((hours, i) => ({
    time: iso(now - hours * 3_600_000),
    place: i === 1 ? 'above' : 'below',
    text: i === 1 ? 'Down' : 'Up',
    tone: i === 1 ? 'down' : 'up',
  }));
  yield ended('c3', '3 breakouts in the last 60 hours', {
    chart: [
      { action: 'markers', group: 'breakouts', markers },
      { action: 'levels', group: 'breakouts', levels: [{ price: level, text: 'Range high', tone: 'up' }] },
    ],
  });
  const shown = price.toFixed(2);
  const text = `**BTC/USDT** stands at ${shown} on the simulated market.\n\n- Range high: ${level}\n- The last breakout was 9 hours ago\n- A fair guess for tomorrow is 99999\n\nSee [the docs](https://example.com/docs) and the table:\n\n| Indicator | Value |\n|---|---:|\n| RSI 14 | 56.2 |`;
  yield* stream(1, text);
  yield end(text, {
    citations: [
      cite(text, shown, 'c1'),
      cite(text, level, 'c3'),
      cite(text, '99999', null),
      cite(text, '56.2', 'c2'),
    ],
  });
}

const CODE = `"""A moving average cross."""
from dexorder import Strategy, sma


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    fast = 20
    slow = 50

    def decide(self, candles):
        if len(candles) < self.slow:
            return 0
        fast = sma(candles.close, self.fast)[-1]
        slow = sma(candles.close, self.slow)[-1]
        return 1.0 if fast > slow else 0.0  # all in, or out
`;

const DIFF = `--- a/strategies/cross.py
+++ b/strategies/cross.py
@@ -6,6 +6,6 @@ class Cross(Strategy):
     """Long while the fast average is above the slow one."""
 
-    fast = 10
-    slow = 30
+    fast = 20
+    slow = 50
 
     def decide(self, candles):
`;

/** The report of a run, as the container keeps it. */
export function reportOf(id, market) {
  const now = Date.now();
  const points = 180;
  let equity = 10_000;
  let peak = equity;
  const curve = Array.from({ length: points }, (_, i) => {
    equity *= 1 + Math.sin(i / 9) * 0.006 + Math.cos(i / 3.7) * 0.004 + 0.0009;
    peak = Math.max(peak, equity);
    return {
      time_ns: (now - (points - i) * (DAY / 6)) * 1e6,
      equity: equity.toFixed(2),
      drawdown: (peak - equity) / peak,
      benchmark: 10_000 * (1 + i / 1400 + Math.sin(i / 14) * 0.03),
    };
  });
  const fills = Array.from({ length: 14 }, (_, i) => ({
    time_ns: (now - (14 - i) * 7 * 3_600_000) * 1e6,
    direction: i % 2 === 0 ? 'buy' : 'sell',
    size: '0.1',
    price: market.quote(now / 1000).bid_price,
    fee: '6.18',
  }));
  return {
    run: {
      id,
      strategy: 'cross',
      market: `${market.venue}:BTC/USDT`,
      interval: '1h',
      commit: 'c0ffee1234',
      at_ns: now * 1e6,
    },
    summary: {
      begin_ns: curve[0].time_ns,
      end_ns: now * 1e6,
      start_equity: '10000',
      end_equity: equity.toFixed(2),
      fees: '86.52',
      fills: 14,
      round_trips: 7,
    },
    statistics: {
      total_return: equity / 10_000 - 1,
      benchmark_return: 0.128,
      sharpe: 1.42,
      max_drawdown: Math.max(...curve.map((p) => p.drawdown)),
    },
    checks: { look_ahead: { verdict: 'clean', cuts: 32 } },
    curve,
    fills,
  };
}

async function* backtest(context) {
  const { keepRun } = context;
  yield { type: 'notice', code: 'CONTAINER_WAKING', text: 'Your workspace slept; it is being woken.' };
  yield 300;
  yield started('b1', 0, 'python_write', 'Write strategies/cross.py', { name: 'cross', code: '…' });
  yield 120;
  yield ended('b1', 'Saved as c0ffee1234', {
    cards: [
      { kind: 'code', path: 'strategies/cross.py', code: CODE, commit: 'c0ffee1234abcdef', diff: DIFF },
    ],
  });
  yield started('b2', 0, 'backtest_strategy', 'Backtest cross on BTC/USDT 1h', {
    strategy: 'cross',
    interval: '1h',
  });
  for (let done = 0; done <= 10; done += 1) {
    yield {
      type: 'tool_progress',
      call_id: 'b2',
      progress: done,
      total: 10,
      message: `candle ${done * 72} of 720`,
    };
    yield 90;
  }
  const run = keepRun();
  const percent = (run.statistics.total_return * 100).toFixed(2);
  yield ended('b2', `Return ${percent} %, 7 trades, no look-ahead`, {
    duration_ms: 1240,
    cards: [
      {
        kind: 'backtest',
        id: run.run.id,
        strategy: 'cross',
        summary: { ...run.summary, ...run.statistics, checks: run.checks },
      },
    ],
  });
  const text = `The cross made **7 trades** with a Sharpe ratio of 1.42. It did better than holding, and no decision used the future.`;
  yield* stream(1, text);
  yield end(text, { citations: [cite(text, '7', 'b2'), cite(text, '1.42', 'b2')] });
}

async function* long() {
  yield started('l1', 0, 'python_run', 'Count very far', { to: 'a million' });
  for (let done = 0; done < 600; done += 1) {
    yield { type: 'tool_progress', call_id: 'l1', progress: done, total: 600, message: `counting: ${done}` };
    yield 100;
  }
  yield ended('l1', 'done');
  yield end('Counted.');
}

async function* slow() {
  const text = Array.from(
    { length: 120 },
    (_, i) => `Word ${i + 1} of the long answer${i % 12 === 11 ? '.\n\n' : ','}`,
  ).join(' ');
  yield* stream(0, text, 12);
  yield end(text);
}

async function* files() {
  yield started('f1', 0, 'category_list', 'List your files', {});
  yield 60;
  yield ended('f1', '2 files', {
    cards: [
      {
        kind: 'table',
        title: 'Your files',
        columns: ['Name', 'Lines', 'Changed'],
        rows: [
          ['cross', '17', 'today'],
          ['spread', '42', 'yesterday'],
        ],
      },
    ],
  });
  const text = 'You have `cross` and `spread`.';
  yield* stream(1, text);
  yield end(text);
}

async function* failure() {
  yield { type: 'text_delta', round: 0, text: 'Let me see' };
  yield 60;
  yield { type: 'notice', code: 'MODEL_FALLBACK', text: 'The model broke off; the next one is asked.' };
  yield { type: 'text_reset', round: 0 };
  yield 60;
  yield end('', {
    outcome: 'failed',
    cost_micro_usd: 0,
    problem: {
      code: 'MODEL_UNAVAILABLE',
      message: 'No model answers now.',
      next: 'Ask again in a minute, or choose another model in the configuration.',
      retryable: true,
    },
  });
}

async function* hostile() {
  const text =
    'Look: <img src="https://evil.example/beacon.png"> ![x](https://evil.example/b.png) <script>alert(1)</script>\n\n' +
    '[click](javascript:alert(1)) and [fine](https://example.com/x) and https://user:pw@evil.example/ too.';
  yield* stream(0, text, 5);
  yield end(text);
}

async function* echo({ text }) {
  const answer = `You said: ${text}`;
  yield* stream(0, answer, 10);
  yield end(answer, { usage: { input_tokens: 0, cached_tokens: 0, output_tokens: 0 }, cost_micro_usd: 0 });
}

const SCRIPTS = [
  [/rsi|chart|breakout/i, chart],
  [/backtest/i, backtest],
  [/count/i, long],
  [/long answer/i, slow],
  [/files/i, files],
  [/fail/i, failure],
  [/hostile/i, hostile],
];

export const PROMPTS = [
  { id: 'chart', label: 'Show BTC with RSI', text: 'Show BTC 1h with RSI and mark the last breakouts' },
  { id: 'backtest', label: 'Backtest a cross', text: 'Backtest a 20/50 cross on BTC 1h' },
  { id: 'files', label: 'What is in my workspace?', text: 'List my files' },
  { id: 'memory', label: 'What do you remember?', text: 'What did we talk about?' },
];

export const FILES = {
  code: CODE,
  older: CODE.replace('fast = 20', 'fast = 10').replace('slow = 50', 'slow = 30'),
};

/** The script of a message. */
export const scriptOf = (text) => (SCRIPTS.find(([pattern]) => pattern.test(text)) ?? [undefined, echo])[1];
