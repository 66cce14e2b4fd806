// One message and its answer: notices, text with citations, tool rows, cards, how it ended and what it cost.
import { memo, useCallback, useMemo } from 'react';
import { usePlatform } from '../app/platform-context';
import { CardView } from '../cards/CardView';
import { formatDuration, formatMicroUsd, formatTokens } from '../format/money';
import { formatClock, formatUtc } from '../format/time';
import { Markdown } from '../markdown/Markdown';
import { useStore } from '../state/store';
import { CopyButton } from '../ui/CopyButton';
import { Problem } from '../ui/Problem';
import type { Outcome } from './events';
import { type Segment, segmentsOf } from './segments';
import { ToolRowView } from './ToolRowView';
import { answerOf, type ToolRow, type Turn, type TurnEnd } from './turn';

const CHANNELS: Readonly<Record<string, string>> = { telegram: 'from Telegram', mcp: 'over MCP' };

export const TurnView = memo(function TurnView({ turn }: { readonly turn: Turn }) {
  const { chat } = usePlatform();
  const stopping = useStore(chat.stopping).has(turn.id);
  const segments = useMemo(() => segmentsOf(turn), [turn]);
  const live = turn.end === undefined;
  if (turn.sequence === 0) return null;
  const silent = live && segments.length === 0;
  const running = turn.tools.some(({ end }) => end === undefined);
  return (
    <article
      className="turn"
      data-testid="turn"
      data-turn={turn.id}
      data-outcome={turn.end?.outcome ?? 'running'}
    >
      <div className="question" title={formatUtc(turn.startedAt)}>
        {turn.question}
        {CHANNELS[turn.channel] !== undefined && <span className="channel">{CHANNELS[turn.channel]}</span>}
      </div>
      <div className="answer" data-testid="answer" aria-busy={live}>
        {turn.model !== undefined && (
          <span className="model-chip" title={`Chosen because ${turn.model.reason}`} data-testid="model">
            {turn.model.name}
            <span> · {turn.model.reason}</span>
          </span>
        )}
        {turn.notices.map((notice, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: notices only come at the end
          <p key={index} className="turn-notice" data-code={notice.code}>
            {notice.text}
          </p>
        ))}
        {segments.map((segment) => (
          <SegmentView key={segment.key} segment={segment} tools={turn.tools} live={live} />
        ))}
        {(silent || (live && !running)) && (
          <p className="thinking">
            <span className="thinking-dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            {stopping ? 'Stopping…' : silent ? 'Thinking' : 'Writing'}
          </p>
        )}
        {turn.end !== undefined && <Ending turn={turn} end={turn.end} />}
      </div>
    </article>
  );
});

interface SegmentProps {
  readonly segment: Segment;
  readonly tools: readonly ToolRow[];
  readonly live: boolean;
}

function SegmentView({ segment, tools, live }: SegmentProps) {
  const { cited } = segment;
  const cite = useCallback(
    (index: number, text: string) => {
      const callId = cited[index]?.callId;
      return <CitedNumber text={text} tool={tools.find((tool) => tool.callId === callId)} />;
    },
    [cited, tools],
  );
  return (
    <>
      {segment.text !== '' && <Markdown text={segment.text} marks={cited} cite={cite} />}
      {segment.tools.map((tool) => (
        <div key={tool.callId} className="tool-block">
          <ToolRowView tool={tool} live={live} />
          {tool.end?.cards.map((card, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the cards of a call never change
            <CardView key={index} card={card} />
          ))}
        </div>
      ))}
    </>
  );
}

/** Says where a number comes from, or that it comes from nowhere. */
function CitedNumber({ text, tool }: { readonly text: string; readonly tool: ToolRow | undefined }) {
  if (tool === undefined) {
    return (
      <span
        className="cite unsourced"
        data-testid="unsourced"
        title="No tool gave this number: do not rely on it"
      >
        {text}
        <sup aria-hidden="true">?</sup>
        <span className="visually-hidden"> (no source)</span>
      </span>
    );
  }
  return (
    <span
      className="cite"
      data-testid="cited"
      title={`From ${tool.title} (${tool.tool})${tool.end === undefined ? '' : `, ${formatUtc(tool.startedAt)}`}`}
    >
      {text}
    </span>
  );
}

const OUTCOME_WORDS: Record<Outcome, string> = {
  complete: '',
  stopped: 'Stopped',
  limited: 'Ended at a limit',
  refused: 'Not answered',
  failed: 'Failed',
};

function Ending({ turn, end }: { readonly turn: Turn; readonly end: TurnEnd }) {
  const { chat } = usePlatform();
  const answer = answerOf(turn);
  const { problem, usage } = end;
  const tokens = usage.inputTokens + usage.outputTokens;
  return (
    <>
      {end.outcome === 'stopped' ? (
        <p className="outcome">{problem?.message ?? 'You stopped this answer.'}</p>
      ) : problem !== undefined ? (
        <Problem message={`${OUTCOME_WORDS[end.outcome]}: ${problem.message}`} next={problem.next}>
          {problem.retryable && (
            <button
              type="button"
              className="button small"
              data-testid="retry"
              onClick={() => chat.send(turn.question)}
            >
              Ask again
            </button>
          )}
        </Problem>
      ) : (
        end.outcome !== 'complete' && <p className="outcome">{OUTCOME_WORDS[end.outcome]}</p>
      )}
      <footer className="turn-foot">
        <time dateTime={new Date(end.at).toISOString()} title={formatUtc(end.at)}>
          {formatClock(end.at)}
        </time>
        <span>{formatDuration(Math.max(0, end.at - turn.startedAt))}</span>
        {tokens > 0 && (
          <span
            title={`${usage.inputTokens} tokens in, ${usage.cachedTokens} of them cached, ${usage.outputTokens} out`}
          >
            {formatTokens(tokens)} tokens
          </span>
        )}
        <span data-testid="cost">{formatMicroUsd(end.costMicroUsd)}</span>
        {answer !== '' && <CopyButton text={answer} label="Copy the answer" />}
      </footer>
    </>
  );
}
