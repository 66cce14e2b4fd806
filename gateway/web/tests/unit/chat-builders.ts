// Test data of the chat: events with numbers, and an interface of the gateway that the test answers.
import { vi } from 'vitest';
import type { ChatApi } from '../../src/chat/chat-api';
import { decodeNumbered, type Numbered } from '../../src/chat/events';

type Wire = Readonly<Record<string, unknown>>;

export const event = (sequence: number, json: Wire): Numbered =>
  decodeNumbered({ sequence, at_ns: 1_700_000_000_000_000_000 + sequence, ...json });

/** Events numbered from 1. */
export const script = (events: readonly Wire[]): Numbered[] =>
  events.map((json, index) => event(index + 1, json));

export const started = (text: string, messageId = 'm1'): Wire => ({
  type: 'turn_started',
  conversation_id: 'main',
  message_id: messageId,
  text,
  channel: 'web',
});

export const ended = (text: string): Wire => ({
  type: 'turn_ended',
  outcome: 'complete',
  text,
  citations: [],
  usage: { input_tokens: 1, cached_tokens: 0, output_tokens: 2 },
  cost_micro_usd: 12,
});

/** Answers with nothing until a test says otherwise. */
export const fakeApi = () => ({
  send: vi.fn<ChatApi['send']>(async () => ({ turnId: '01B', queued: false })),
  conversations: vi.fn<ChatApi['conversations']>(async () => []),
  turns: vi.fn<ChatApi['turns']>(async () => ({ turns: [], next: undefined })),
  events: vi.fn<ChatApi['events']>(async () => ({ events: [], ended: true })),
  stop: vi.fn<ChatApi['stop']>(async () => undefined),
  ticket: vi.fn<ChatApi['ticket']>(async () => 'dxt_1'),
  prompts: vi.fn<ChatApi['prompts']>(async () => []),
  container: vi.fn<ChatApi['container']>(async () => ({ state: 'ready', message: '' })),
  wake: vi.fn<ChatApi['wake']>(async () => undefined),
});
