// Keeps one WebSocket to the gateway alive: connect, notice silence, reconnect with jittered back-off.
import { Store } from '../state/store';
import { reconnectDelay } from './backoff';

export type Connection =
  | { readonly status: 'connecting' }
  | { readonly status: 'open' }
  | { readonly status: 'waiting'; readonly retryAt: number; readonly since: number }
  | { readonly status: 'closed' };

/** What the outside world provides; tests pass fakes. */
export interface SocketWorld {
  readonly connect: () => WebSocket;
  readonly now: () => number;
  readonly random: () => number;
}

export interface SocketHandlers {
  readonly opened: () => void;
  readonly message: (text: string) => void;
}

/** The gateway sends health every second: this much silence means that the connection is dead. */
const MUTE_MS = 8000;
const WATCH_EVERY_MS = 2000;

export class LiveSocket {
  readonly connection = new Store<Connection>({ status: 'connecting' });
  private readonly world: SocketWorld;
  private readonly handlers: SocketHandlers;
  private socket: WebSocket | undefined;
  private attempt = 0;
  private lostAt = 0;
  private lastHeard = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private watchTimer: ReturnType<typeof setInterval> | undefined;

  constructor(world: SocketWorld, handlers: SocketHandlers) {
    this.world = world;
    this.handlers = handlers;
  }

  start(): void {
    this.watchTimer = setInterval(() => this.checkSilence(), WATCH_EVERY_MS);
    this.open();
  }

  /** Sends text if the connection is open; says whether it did. */
  send(text: string): boolean {
    if (this.socket === undefined || this.connection.get().status !== 'open') return false;
    this.socket.send(text);
    return true;
  }

  /** Ends a wait at once, for example when the network or the tab is back. */
  readonly retryNow = (): void => {
    if (this.connection.get().status !== 'waiting') return;
    clearTimeout(this.retryTimer);
    this.open();
  };

  close(): void {
    clearInterval(this.watchTimer);
    clearTimeout(this.retryTimer);
    this.dropSocket();
    this.connection.set({ status: 'closed' });
  }

  private open(): void {
    const socket = this.world.connect();
    this.socket = socket;
    this.lastHeard = this.world.now();
    this.connection.set({ status: 'connecting' });
    socket.onopen = () => {
      this.lastHeard = this.world.now();
      this.connection.set({ status: 'open' });
      this.handlers.opened();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.lastHeard = this.world.now();
      this.attempt = 0;
      this.lostAt = 0;
      if (typeof event.data === 'string') this.handlers.message(event.data);
    };
    socket.onclose = (event: CloseEvent) => this.lost(event.code);
  }

  private lost(closeCode?: number): void {
    this.dropSocket();
    const now = this.world.now();
    const delay = reconnectDelay(this.attempt, this.world.random(), closeCode);
    this.attempt += 1;
    if (this.lostAt === 0) this.lostAt = now;
    this.connection.set({ status: 'waiting', retryAt: now + delay, since: this.lostAt });
    this.retryTimer = setTimeout(() => this.open(), delay);
  }

  private checkSilence(): void {
    const { status } = this.connection.get();
    const silent = this.world.now() - this.lastHeard > MUTE_MS;
    if (silent && (status === 'open' || status === 'connecting')) this.lost();
  }

  /** Forgets the socket without waiting for a close handshake that a dead peer never answers. */
  private dropSocket(): void {
    if (this.socket === undefined) return;
    this.socket.onopen = null;
    this.socket.onmessage = null;
    this.socket.onclose = null;
    this.socket.close();
    this.socket = undefined;
  }
}
