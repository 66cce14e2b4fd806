// A conversation as the page holds it: its turns in order, and what was typed but has no turn yet.
import type { ApiError } from '../api/api-error';
import type { Numbered } from './events';
import { applyEvent, newTurn, type Turn } from './turn';

/** A message of this page. It keeps its id until the gateway has taken it, so that it is taken once. */
export interface Outgoing {
  readonly messageId: string;
  readonly text: string;
  /** Given by the gateway with its answer. */
  readonly turnId: string | undefined;
  readonly state: 'sending' | 'queued' | 'taken' | 'failed';
  readonly error: ApiError | undefined;
}

export interface Conversation {
  readonly id: string;
  /** Oldest first. */
  readonly turns: readonly Turn[];
  readonly outgoing: readonly Outgoing[];
}

/** Older turns are fetched again when somebody scrolls there. */
export const MAX_TURNS = 200;

export const emptyConversation = (id: string): Conversation => ({ id, turns: [], outgoing: [] });

export const findTurn = (conversation: Conversation, turnId: string): Turn | undefined =>
  conversation.turns.find(({ id }) => id === turnId);

/** ULIDs sort by time. */
function insert(turns: readonly Turn[], turn: Turn): Turn[] {
  const at = turns.findIndex(({ id }) => id >= turn.id);
  if (at === -1) return [...turns, turn].slice(-MAX_TURNS);
  if (turns[at]?.id === turn.id) return turns.with(at, turn);
  return turns.toSpliced(at, 0, turn).slice(-MAX_TURNS);
}

/** Applies events of a turn; one that is not known yet begins. */
export function takeEvents(
  conversation: Conversation,
  turnId: string,
  events: readonly Numbered[],
): Conversation {
  const before = findTurn(conversation, turnId) ?? newTurn(turnId);
  const turn = events.reduce(applyEvent, before);
  if (turn === before && findTurn(conversation, turnId) !== undefined) return conversation;
  return settle({ ...conversation, turns: insert(conversation.turns, turn) });
}

/** A message that has become a turn is no longer on its way. */
function settle(conversation: Conversation): Conversation {
  const begun = new Set(conversation.turns.flatMap(({ messageId }) => messageId ?? []));
  const left = conversation.outgoing.filter(({ messageId }) => !begun.has(messageId));
  return left.length === conversation.outgoing.length ? conversation : { ...conversation, outgoing: left };
}

export function addOutgoing(conversation: Conversation, message: Outgoing): Conversation {
  const others = conversation.outgoing.filter(({ messageId }) => messageId !== message.messageId);
  return settle({ ...conversation, outgoing: [...others, message] });
}

export function changeOutgoing(
  conversation: Conversation,
  messageId: string,
  change: Partial<Outgoing>,
): Conversation {
  const outgoing = conversation.outgoing.map((message) =>
    message.messageId === messageId ? { ...message, ...change } : message,
  );
  return { ...conversation, outgoing };
}

export const dropOutgoing = (conversation: Conversation, messageId: string): Conversation => ({
  ...conversation,
  outgoing: conversation.outgoing.filter((message) => message.messageId !== messageId),
});

/** The turn that is being answered: the oldest one that has begun and not ended. */
export const runningTurn = ({ turns }: Conversation): Turn | undefined =>
  turns.find(({ sequence, end }) => sequence > 0 && end === undefined);

/** What the user said in this conversation, newest first, each once: for the arrow key of the composer. */
export function saidBefore({ turns, outgoing }: Conversation): string[] {
  const said = [...turns.map(({ question }) => question), ...outgoing.map(({ text }) => text)];
  return [...new Set(said.reverse())].filter((text) => text !== '').slice(0, 50);
}
