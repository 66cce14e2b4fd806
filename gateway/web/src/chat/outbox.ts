// Messages that the gateway has not confirmed yet, kept over a reload so that they are sent again under the same id.
import { readSaved, type TextStorage, writeSaved } from '../state/saved';

export interface Unsent {
  readonly messageId: string;
  readonly conversationId: string;
  readonly text: string;
}

const KEY = 'outbox.v1';
/** As many as the gateway lets wait, and the one that runs. */
const MAX_UNSENT = 9;
const MAX_LENGTH = 32_768;

function checkOne(value: unknown): Unsent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { messageId, conversationId, text } = value as Record<string, unknown>;
  if (typeof messageId !== 'string' || typeof conversationId !== 'string' || typeof text !== 'string')
    return undefined;
  return text.length > MAX_LENGTH ? undefined : { messageId, conversationId, text };
}

const check = (value: unknown): Unsent[] | undefined =>
  Array.isArray(value)
    ? value
        .map(checkOne)
        .filter((item) => item !== undefined)
        .slice(-MAX_UNSENT)
    : undefined;

export class Outbox {
  private readonly storage: TextStorage | undefined;

  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
  }

  of(conversationId: string): Unsent[] {
    return this.all().filter((message) => message.conversationId === conversationId);
  }

  keep(message: Unsent): void {
    const others = this.all().filter(({ messageId }) => messageId !== message.messageId);
    writeSaved(this.storage, KEY, [...others, message].slice(-MAX_UNSENT));
  }

  drop(messageId: string): void {
    writeSaved(
      this.storage,
      KEY,
      this.all().filter((message) => message.messageId !== messageId),
    );
  }

  clear(): void {
    writeSaved(this.storage, KEY, []);
  }

  private all(): Unsent[] {
    return readSaved(this.storage, KEY, check) ?? [];
  }
}
