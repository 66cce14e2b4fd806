// One message and its answer as the page shows it: the sum of its events, in order, each applied once.
import type { Card } from '../cards/card';
import type { ChartAction } from '../chart/chart-action';
import type { Citation, Numbered, Outcome, Problem, Usage } from './events';

export interface ToolEnd {
  readonly ok: boolean;
  readonly durationMs: number;
  readonly summary: string;
  readonly cards: readonly Card[];
  readonly chart: readonly ChartAction[];
  /** Of the event, so that what is live can be told from what was there before. */
  readonly sequence: number;
}

export interface ToolRow {
  readonly callId: string;
  readonly round: number;
  readonly tool: string;
  readonly title: string;
  readonly args: unknown;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly progress:
    | { readonly done: number; readonly total: number | undefined; readonly message: string }
    | undefined;
  readonly end: ToolEnd | undefined;
}

export interface TurnEnd {
  readonly outcome: Outcome;
  readonly text: string;
  readonly citations: readonly Citation[];
  readonly usage: Usage;
  readonly costMicroUsd: number;
  readonly problem: Problem | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
}

export interface Turn {
  readonly id: string;
  /** Of the last event that was applied; 0 before the first. */
  readonly sequence: number;
  /** Came too early, ascending: the events before them are missing. */
  readonly early: readonly Numbered[];
  readonly messageId: string | undefined;
  readonly question: string;
  readonly channel: string;
  /** Epoch milliseconds; 0 before it has started. */
  readonly startedAt: number;
  readonly notices: readonly { readonly code: string; readonly text: string }[];
  readonly model: { readonly name: string; readonly reason: string } | undefined;
  /** The text of each round. */
  readonly rounds: readonly string[];
  readonly tools: readonly ToolRow[];
  readonly end: TurnEnd | undefined;
}

/** More early events than this are forgotten: they are fetched again with those that are missing. */
const MAX_EARLY = 256;

export const newTurn = (id: string): Turn => ({
  id,
  sequence: 0,
  early: [],
  messageId: undefined,
  question: '',
  channel: '',
  startedAt: 0,
  notices: [],
  model: undefined,
  rounds: [],
  tools: [],
  end: undefined,
});

/** True if events are missing that others came after. */
export const hasGap = (turn: Turn): boolean => turn.early.length > 0;

/** Takes an event in: a second copy changes nothing, an early one waits for those before it. */
export function applyEvent(turn: Turn, numbered: Numbered): Turn {
  if (numbered.sequence <= turn.sequence) return turn;
  if (numbered.sequence > turn.sequence + 1) return keepEarly(turn, numbered);
  let next = reduce(turn, numbered);
  let waiting = next.early;
  for (;;) {
    const [first, ...rest] = waiting;
    if (first === undefined || first.sequence > next.sequence + 1) break;
    waiting = rest;
    if (first.sequence === next.sequence + 1) next = reduce(next, first);
  }
  return waiting === next.early ? next : { ...next, early: waiting };
}

function keepEarly(turn: Turn, numbered: Numbered): Turn {
  if (turn.early.some(({ sequence }) => sequence === numbered.sequence)) return turn;
  const early = [...turn.early, numbered].sort((a, b) => a.sequence - b.sequence).slice(0, MAX_EARLY);
  return { ...turn, early };
}

/** The event is the next one. */
function reduce(before: Turn, { sequence, at, event }: Numbered): Turn {
  const turn: Turn = { ...before, sequence };
  // Nothing comes behind the end; a gateway that says so all the same is not believed.
  if (turn.end !== undefined) return turn;
  switch (event.type) {
    case 'turn_started':
      return {
        ...turn,
        messageId: event.messageId,
        question: event.text,
        channel: event.channel,
        startedAt: at,
      };
    case 'notice':
      return { ...turn, notices: [...turn.notices, { code: event.code, text: event.text }] };
    case 'model_chosen':
      return { ...turn, model: { name: event.model, reason: event.reason } };
    case 'text_delta':
      return { ...turn, rounds: withRound(turn.rounds, event.round, (text) => text + event.text) };
    case 'text_reset':
      return { ...turn, rounds: withRound(turn.rounds, event.round, () => '') };
    case 'tool_started': {
      if (turn.tools.some(({ callId }) => callId === event.callId)) return turn;
      const { callId, round, tool, title, args } = event;
      const row = { callId, round, tool, title, args, startedAt: at, progress: undefined, end: undefined };
      return { ...turn, tools: [...turn.tools, row] };
    }
    case 'tool_progress': {
      const { progress: done, total, message } = event;
      return withTool(turn, event.callId, (row) => ({ ...row, progress: { done, total, message } }));
    }
    case 'tool_ended': {
      const { ok, durationMs, summary, cards, chart } = event;
      const end = { ok, durationMs, summary, cards, chart, sequence };
      return withTool(turn, event.callId, (row) => ({ ...row, end }));
    }
    case 'turn_ended': {
      const { outcome, text, citations, usage, costMicroUsd, problem } = event;
      return { ...turn, end: { outcome, text, citations, usage, costMicroUsd, problem, at } };
    }
    case 'unknown':
      return turn;
  }
}

function withRound(rounds: readonly string[], round: number, change: (text: string) => string): string[] {
  const length = Math.max(rounds.length, round + 1);
  return Array.from({ length }, (_, index) =>
    index === round ? change(rounds[index] ?? '') : (rounds[index] ?? ''),
  );
}

/** A tool that has ended does not change any more. */
function withTool(turn: Turn, callId: string, change: (row: ToolRow) => ToolRow): Turn {
  const tools = turn.tools.map((row) => (row.callId === callId && row.end === undefined ? change(row) : row));
  return { ...turn, tools };
}

/** The answer so far: the texts of all rounds, a blank line between two that are not empty. */
export const answerOf = (turn: Turn): string =>
  turn.end?.text ?? turn.rounds.filter((text) => text !== '').join('\n\n');
