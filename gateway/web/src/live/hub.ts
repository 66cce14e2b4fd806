// Counts who needs which topic, tells the gateway, and hands each message to its listeners.
import type { Health } from '../api/health';
import { decodeServerMessage, type ServerMessage, type TopicMessage } from './messages';
import { LiveSocket, type SocketWorld } from './socket';
import type { Topic } from './topic';

export interface TopicListener {
  readonly message: (message: TopicMessage) => void;
  /** The gateway confirmed the subscription, the first time or again after a reconnect. */
  readonly subscribed?: () => void;
  readonly refused?: (reason: string) => void;
}

/** Leaving a topic is told late, so that going to and fro between symbols costs nothing. */
const LINGER_MS = 1500;
/** Well below the 16 KiB that the gateway accepts in one message. */
const TOPICS_PER_MESSAGE = 100;

export class LiveHub {
  readonly socket: LiveSocket;
  private readonly onHealth: (health: Health) => void;
  private readonly topics = new Map<string, Set<TopicListener>>();
  /** Topics asked for on the present connection. */
  private asked = new Set<string>();
  private readonly inFlight = new Map<number, readonly string[]>();
  private nextId = 1;
  private flushQueued = false;
  private lingerTimer: ReturnType<typeof setTimeout> | undefined;
  private malformed = 0;

  constructor(world: SocketWorld, onHealth: (health: Health) => void) {
    this.onHealth = onHealth;
    this.socket = new LiveSocket(world, {
      opened: () => this.resubscribe(),
      message: (text) => this.receive(text),
    });
  }

  /** Messages that were not understood and therefore left out. */
  get malformedCount(): number {
    return this.malformed;
  }

  /** Starts listening to a topic; the returned function ends it. */
  watch(topic: Topic, listener: TopicListener): () => void {
    const listeners = this.topics.get(topic) ?? new Set();
    this.topics.set(topic, listeners.add(listener));
    if (this.asked.has(topic)) queueMicrotask(() => listeners.has(listener) && listener.subscribed?.());
    else this.queueFlush();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.topics.get(topic) === listeners) {
        this.topics.delete(topic);
        this.lingerTimer ??= setTimeout(() => this.leaveUnused(), LINGER_MS);
      }
    };
  }

  private queueFlush(): void {
    if (this.flushQueued) return;
    this.flushQueued = true;
    queueMicrotask(() => {
      this.flushQueued = false;
      const missing = [...this.topics.keys()].filter((topic) => !this.asked.has(topic));
      for (let i = 0; i < missing.length; i += TOPICS_PER_MESSAGE) {
        this.subscribe(missing.slice(i, i + TOPICS_PER_MESSAGE));
      }
    });
  }

  private subscribe(topics: readonly string[]): void {
    const id = this.nextId;
    if (!this.socket.send(JSON.stringify({ op: 'subscribe', id, topics }))) return;
    this.nextId += 1;
    this.inFlight.set(id, topics);
    for (const topic of topics) this.asked.add(topic);
  }

  private leaveUnused(): void {
    this.lingerTimer = undefined;
    const unused = [...this.asked].filter((topic) => !this.topics.has(topic));
    for (const topic of unused) this.asked.delete(topic);
    for (let i = 0; i < unused.length; i += TOPICS_PER_MESSAGE) {
      const topics = unused.slice(i, i + TOPICS_PER_MESSAGE);
      this.socket.send(JSON.stringify({ op: 'unsubscribe', id: this.nextId, topics }));
      this.nextId += 1;
    }
  }

  private resubscribe(): void {
    this.asked = new Set();
    this.inFlight.clear();
    this.queueFlush();
  }

  private receive(text: string): void {
    let message: ServerMessage;
    try {
      message = decodeServerMessage(text);
    } catch (error) {
      this.malformed += 1;
      console.warn('a live message was left out:', error);
      return;
    }
    switch (message.type) {
      case 'health':
        this.onHealth(message.health);
        break;
      case 'subscribed':
        this.confirmed(message.topics);
        break;
      case 'refused':
        this.refused(message.id, message.message);
        break;
      case 'other':
        break;
      default:
        for (const listener of [...(this.topics.get(message.topic) ?? [])]) listener.message(message);
    }
  }

  private confirmed(topics: readonly string[]): void {
    for (const topic of topics) {
      for (const listener of [...(this.topics.get(topic) ?? [])]) listener.subscribed?.();
    }
  }

  /** A subscription is all or nothing: a refused group is asked again one by one to find the topic at fault. */
  private refused(id: number | undefined, reason: string): void {
    const topics = id === undefined ? undefined : this.inFlight.get(id);
    if (id === undefined || topics === undefined) return;
    this.inFlight.delete(id);
    if (topics.length > 1) {
      const half = Math.ceil(topics.length / 2);
      this.subscribe(topics.slice(0, half));
      this.subscribe(topics.slice(half));
      return;
    }
    for (const topic of topics) {
      for (const listener of [...(this.topics.get(topic) ?? [])]) listener.refused?.(reason);
    }
  }
}
