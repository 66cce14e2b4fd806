// Keeps the chat's WebSocket alive: a ticket for each connection, pings, silence noticed, reconnect with back-off.
import { toApiError } from '../api/api-error';
import { asRecord, asString, type Json } from '../api/decode';
import { reconnectDelay } from '../live/backoff';
import type { Connection } from '../live/socket';
import { Store } from '../state/store';

/** The session behind the ticket was ended. */
export const CLOSE_SESSION_ENDED = 4401;

export interface ChatSocketWorld {
  readonly ticket: () => Promise<string>;
  readonly connect: (ticket: string) => WebSocket;
  readonly now: () => number;
  readonly random: () => number;
}

export interface ChatSocketHandlers {
  readonly opened: () => void;
  readonly message: (message: Json) => void;
  readonly sessionEnded: () => void;
}

const PING_EVERY_MS = 5000;
/** Two pings without an answer. */
const MUTE_MS = 12_000;

export class ChatSocket {
  readonly connection = new Store<Connection>({ status: 'closed' });
  private readonly world: ChatSocketWorld;
  private readonly handlers: ChatSocketHandlers;
  private socket: WebSocket | undefined;
  /** Tells a ticket that comes late that nobody waits for it any more. */
  private generation = 0;
  private attempt = 0;
  private lostAt = 0;
  private lastHeard = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private pingTimer: ReturnType<typeof setInterval> | undefined;

  constructor(world: ChatSocketWorld, handlers: ChatSocketHandlers) {
    this.world = world;
    this.handlers = handlers;
  }

  start(): void {
    if (this.connection.get().status !== 'closed') return;
    this.pingTimer = setInterval(() => this.ping(), PING_EVERY_MS);
    void this.open();
  }

  stop(): void {
    clearInterval(this.pingTimer);
    clearTimeout(this.retryTimer);
    this.drop();
    this.attempt = 0;
    this.lostAt = 0;
    this.connection.set({ status: 'closed' });
  }

  /** Sends if the connection is open; says whether it did. */
  send(message: unknown): boolean {
    if (this.socket === undefined || this.connection.get().status !== 'open') return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Ends a wait at once, for example when the network or the tab is back. */
  readonly retryNow = (): void => {
    if (this.connection.get().status !== 'waiting') return;
    clearTimeout(this.retryTimer);
    void this.open();
  };

  private async open(): Promise<void> {
    this.generation += 1;
    const { generation } = this;
    this.connection.set({ status: 'connecting' });
    let ticket: string;
    try {
      ticket = await this.world.ticket();
    } catch (error) {
      if (generation !== this.generation) return;
      if (toApiError(error).status === 401) this.end();
      else this.lost(undefined);
      return;
    }
    if (generation === this.generation) this.connect(ticket);
  }

  private connect(ticket: string): void {
    const socket = this.world.connect(ticket);
    this.socket = socket;
    this.lastHeard = this.world.now();
    socket.onopen = () => {
      this.lastHeard = this.world.now();
      this.connection.set({ status: 'open' });
      this.handlers.opened();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.lastHeard = this.world.now();
      this.attempt = 0;
      this.lostAt = 0;
      this.receive(event.data);
    };
    socket.onclose = (event: CloseEvent) =>
      event.code === CLOSE_SESSION_ENDED ? this.end() : this.lost(event.code);
  }

  private receive(data: unknown): void {
    if (typeof data !== 'string') return;
    try {
      const message = asRecord(JSON.parse(data));
      asString(message.type, 'type');
      this.handlers.message(message);
    } catch (error) {
      console.warn('a message of the chat was left out:', error);
    }
  }

  private end(): void {
    this.stop();
    this.handlers.sessionEnded();
  }

  private lost(closeCode: number | undefined): void {
    this.drop();
    const now = this.world.now();
    const delay = reconnectDelay(this.attempt, this.world.random(), closeCode);
    this.attempt += 1;
    if (this.lostAt === 0) this.lostAt = now;
    this.connection.set({ status: 'waiting', retryAt: now + delay, since: this.lostAt });
    this.retryTimer = setTimeout(() => void this.open(), delay);
  }

  private ping(): void {
    if (this.socket === undefined) return;
    if (this.world.now() - this.lastHeard > MUTE_MS) this.lost(undefined);
    else this.send({ op: 'ping' });
  }

  /** Forgets the socket without waiting for a close handshake that a dead peer never answers. */
  private drop(): void {
    this.generation += 1;
    if (this.socket === undefined) return;
    this.socket.onopen = null;
    this.socket.onmessage = null;
    this.socket.onclose = null;
    this.socket.close();
    this.socket = undefined;
  }
}
