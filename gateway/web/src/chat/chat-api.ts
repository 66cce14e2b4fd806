// The chat's routes of the gateway (docs/protocol/12-chat.md §3), each as one function with checked answers.

import { type Call, nothing } from '../api/client';
import { asBoolean, asList, asMoment, asNumber, asRecord, asString, optional } from '../api/decode';
import { decodeNumbered, type Numbered } from './events';

export interface ConversationEntry {
  readonly id: string;
  readonly title: string;
  readonly updatedAt: number;
  readonly runningTurn: string | undefined;
}

export interface TurnEntry {
  readonly turnId: string;
  readonly ended: boolean;
  readonly lastSequence: number;
}

export interface TurnsPage {
  /** Newest first. */
  readonly turns: readonly TurnEntry[];
  readonly next: string | undefined;
}

export interface Prompt {
  readonly id: string;
  readonly label: string;
  readonly text: string;
}

export const CONTAINER_STATES = ['absent', 'starting', 'ready', 'asleep', 'failed'] as const;

export interface ContainerInfo {
  readonly state: (typeof CONTAINER_STATES)[number];
  readonly message: string;
}

export interface ChatApi {
  send(message: {
    readonly messageId: string;
    readonly conversationId: string;
    readonly text: string;
  }): Promise<{ readonly turnId: string; readonly queued: boolean }>;
  conversations(): Promise<ConversationEntry[]>;
  turns(conversationId: string, before: string | undefined, limit: number): Promise<TurnsPage>;
  events(turnId: string, after: number): Promise<{ readonly events: Numbered[]; readonly ended: boolean }>;
  stop(turnId: string): Promise<void>;
  ticket(): Promise<string>;
  prompts(): Promise<Prompt[]>;
  container(): Promise<ContainerInfo>;
  wake(): Promise<void>;
}

const part = encodeURIComponent;

const decodeConversation = (value: unknown, path: string): ConversationEntry => {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    title: optional(json.title, asString, `${path}.title`) ?? '',
    updatedAt: asMoment(json.updated_at, `${path}.updated_at`),
    runningTurn: optional(json.running_turn, asString, `${path}.running_turn`),
  };
};

const decodeTurn = (value: unknown, path: string): TurnEntry => {
  const json = asRecord(value, path);
  return {
    turnId: asString(json.turn_id, `${path}.turn_id`),
    ended: asBoolean(json.ended, `${path}.ended`),
    lastSequence: asNumber(json.last_sequence, `${path}.last_sequence`),
  };
};

const decodePrompt = (value: unknown, path: string): Prompt => {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    label: asString(json.label, `${path}.label`),
    text: asString(json.text, `${path}.text`),
  };
};

export function decodeContainer(body: unknown): ContainerInfo {
  const json = asRecord(body);
  const state = CONTAINER_STATES.find((known) => known === json.state) ?? 'failed';
  return { state, message: optional(json.message, asString, 'message') ?? '' };
}

export const createChatApi = (call: Call): ChatApi => ({
  send: ({ messageId, conversationId, text }) =>
    call(
      {
        method: 'POST',
        path: 'chat/messages',
        body: { message_id: messageId, conversation_id: conversationId, text },
      },
      (body) => {
        const json = asRecord(body);
        return {
          turnId: asString(json.turn_id, 'turn_id'),
          queued: optional(json.queued, asBoolean, 'queued') ?? false,
        };
      },
    ),
  conversations: () =>
    call({ method: 'GET', path: 'chat/conversations' }, (body) =>
      asList(asRecord(body).conversations, decodeConversation, 'conversations'),
    ),
  turns: (conversationId, before, limit) =>
    call(
      { method: 'GET', path: `chat/conversations/${part(conversationId)}/turns`, query: { before, limit } },
      (body) => {
        const json = asRecord(body);
        return {
          turns: asList(json.turns, decodeTurn, 'turns'),
          next: optional(json.next, asString, 'next'),
        };
      },
    ),
  events: (turnId, after) =>
    call({ method: 'GET', path: `chat/turns/${part(turnId)}/events`, query: { after } }, (body) => {
      const json = asRecord(body);
      return {
        events: asList(json.events, decodeNumbered, 'events'),
        ended: asBoolean(json.ended, 'ended'),
      };
    }),
  stop: (turnId) => call({ method: 'POST', path: `chat/turns/${part(turnId)}/stop` }, nothing),
  ticket: () =>
    call({ method: 'POST', path: 'ws-tickets' }, (body) => asString(asRecord(body).ticket, 'ticket')),
  prompts: () =>
    call({ method: 'GET', path: 'prompts' }, (body) =>
      asList(asRecord(body).prompts, decodePrompt, 'prompts').slice(0, 12),
    ),
  container: () => call({ method: 'GET', path: 'container' }, decodeContainer),
  wake: () => call({ method: 'POST', path: 'container/wake' }, nothing),
});
