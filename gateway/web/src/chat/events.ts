// The events of a turn as the gateway numbers them (docs/protocol/12-chat.md §4), checked member by member.
import {
  asBoolean,
  asList,
  asNumber,
  asOneOf,
  asRecord,
  asString,
  DecodeError,
  type Json,
  optional,
} from '../api/decode';
import { type Card, decodeCards } from '../cards/card';
import { type ChartAction, decodeChartActions } from '../chart/chart-action';

export const OUTCOMES = ['complete', 'stopped', 'limited', 'refused', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Why a turn did not end with an answer. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  /** What to do about it. */
  readonly next: string;
  readonly retryable: boolean;
}

/** Where a number of the answer comes from. */
export interface Citation {
  readonly number: string;
  /** First byte of it in the UTF-8 text. */
  readonly at: number;
  /** The call in whose outcome it stands; undefined if in none. */
  readonly callId: string | undefined;
}

export interface Usage {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

export type TurnEvent =
  | {
      readonly type: 'turn_started';
      readonly conversationId: string;
      readonly messageId: string;
      readonly text: string;
      readonly channel: string;
    }
  | { readonly type: 'notice'; readonly code: string; readonly text: string }
  | { readonly type: 'model_chosen'; readonly model: string; readonly reason: string }
  | { readonly type: 'text_delta'; readonly round: number; readonly text: string }
  | { readonly type: 'text_reset'; readonly round: number }
  | {
      readonly type: 'tool_started';
      readonly callId: string;
      readonly round: number;
      readonly tool: string;
      readonly title: string;
      readonly args: unknown;
    }
  | {
      readonly type: 'tool_progress';
      readonly callId: string;
      readonly progress: number;
      readonly total: number | undefined;
      readonly message: string;
    }
  | {
      readonly type: 'tool_ended';
      readonly callId: string;
      readonly ok: boolean;
      readonly durationMs: number;
      readonly summary: string;
      readonly cards: readonly Card[];
      readonly chart: readonly ChartAction[];
    }
  | {
      readonly type: 'turn_ended';
      readonly outcome: Outcome;
      readonly text: string;
      readonly citations: readonly Citation[];
      readonly usage: Usage;
      readonly costMicroUsd: number;
      readonly problem: Problem | undefined;
    }
  /** Of a later version of the gateway: counts, shows nothing. */
  | { readonly type: 'unknown' };

export interface Numbered {
  /** From 1, without gaps. */
  readonly sequence: number;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly event: TurnEvent;
}

/** Rounds of a turn are bounded by the harness; a larger number is not believed. */
const MAX_ROUND = 1000;

function asRound(value: unknown): number {
  const round = asNumber(value, 'round');
  if (!Number.isInteger(round) || round < 0 || round > MAX_ROUND) throw new DecodeError('round', 'a round');
  return round;
}

function decodeEnd(json: Json): TurnEvent {
  const usage = asRecord(json.usage ?? {}, 'usage');
  const count = (value: unknown) => optional(value, asNumber, 'usage') ?? 0;
  return {
    type: 'turn_ended',
    outcome: asOneOf(json.outcome, OUTCOMES, 'outcome'),
    text: asString(json.text, 'text'),
    citations: asList(json.citations ?? [], decodeCitation, 'citations'),
    usage: {
      inputTokens: count(usage.input_tokens),
      cachedTokens: count(usage.cached_tokens),
      outputTokens: count(usage.output_tokens),
    },
    costMicroUsd: asNumber(json.cost_micro_usd ?? 0, 'cost_micro_usd'),
    problem: optional(json.problem, decodeProblem, 'problem'),
  };
}

function decodeCitation(value: unknown, path: string): Citation {
  const json = asRecord(value, path);
  return {
    number: asString(json.number, `${path}.number`),
    at: asNumber(json.at, `${path}.at`),
    callId: optional(json.call_id, asString, `${path}.call_id`),
  };
}

function decodeProblem(value: unknown, path: string): Problem {
  const json = asRecord(value, path);
  return {
    code: asString(json.code, `${path}.code`),
    message: asString(json.message, `${path}.message`),
    next: asString(json.next, `${path}.next`),
    retryable: asBoolean(json.retryable, `${path}.retryable`),
  };
}

function decodeEvent(json: Json): TurnEvent {
  switch (json.type) {
    case 'turn_started':
      return {
        type: 'turn_started',
        conversationId: asString(json.conversation_id, 'conversation_id'),
        messageId: asString(json.message_id, 'message_id'),
        text: asString(json.text, 'text'),
        channel: asString(json.channel, 'channel'),
      };
    case 'notice':
      return { type: 'notice', code: asString(json.code, 'code'), text: asString(json.text, 'text') };
    case 'model_chosen':
      return {
        type: 'model_chosen',
        model: asString(json.model, 'model'),
        reason: asString(json.reason, 'reason'),
      };
    case 'text_delta':
      return { type: 'text_delta', round: asRound(json.round), text: asString(json.text, 'text') };
    case 'text_reset':
      return { type: 'text_reset', round: asRound(json.round) };
    case 'tool_started':
      return {
        type: 'tool_started',
        callId: asString(json.call_id, 'call_id'),
        round: asRound(json.round),
        tool: asString(json.tool, 'tool'),
        title: asString(json.title, 'title'),
        args: json.arguments,
      };
    case 'tool_progress':
      return {
        type: 'tool_progress',
        callId: asString(json.call_id, 'call_id'),
        progress: asNumber(json.progress, 'progress'),
        total: optional(json.total, asNumber, 'total'),
        message: asString(json.message, 'message'),
      };
    case 'tool_ended':
      return {
        type: 'tool_ended',
        callId: asString(json.call_id, 'call_id'),
        ok: asBoolean(json.ok, 'ok'),
        durationMs: asNumber(json.duration_ms, 'duration_ms'),
        summary: asString(json.summary, 'summary'),
        cards: decodeCards(json.cards),
        chart: decodeChartActions(json.chart),
      };
    case 'turn_ended':
      return decodeEnd(json);
    default:
      return { type: 'unknown' };
  }
}

/** An event with its number; its type may be one that this page does not know. */
export function decodeNumbered(value: unknown): Numbered {
  const json = asRecord(value, 'event');
  const sequence = asNumber(json.sequence, 'sequence');
  if (!Number.isSafeInteger(sequence) || sequence < 1) throw new DecodeError('sequence', 'a number from 1');
  return { sequence, at: asNumber(json.at_ns, 'at_ns') / 1e6, event: decodeEvent(json) };
}
