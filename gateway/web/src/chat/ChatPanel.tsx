// The right column: the conversation with the assistant, or an invitation to sign in.
import { type PointerEvent, useRef } from 'react';
import { CHAT_WIDTH } from '../app/layout-state';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { ChatHeader } from './ChatHeader';
import { ChatSkeleton } from './ChatSkeleton';
import { Composer } from './Composer';
import { LiveRegion } from './LiveRegion';
import { MessageList } from './MessageList';
import './chat.css';

export function ChatPanel() {
  const { session } = usePlatform();
  const state = useStore(session.state);
  return (
    <section className="panel chat" data-panel="chat" aria-label="Assistant">
      <ResizeHandle />
      {state.status === 'signed-in' ? (
        <>
          <ChatHeader />
          <MessageList />
          <Composer />
          <LiveRegion />
        </>
      ) : state.status === 'starting' ? (
        <ChatSkeleton />
      ) : (
        <SignedOut note={state.note} />
      )}
    </section>
  );
}

function SignedOut({ note }: { readonly note: string | undefined }) {
  const { view, layout } = usePlatform();
  return (
    <div className="chat-signed-out">
      <h2>Ask about the market</h2>
      <p>
        The assistant reads the market with you, moves this chart, writes and backtests strategies, and keeps
        your files. Prices stay visible without an account.
      </p>
      {note !== undefined && (
        <p className="chat-note" role="status">
          {note}
        </p>
      )}
      <div className="chat-buttons">
        <button
          type="button"
          className="button primary"
          data-testid="open-sign-in"
          onClick={() => view.overlay.set('sign-in')}
        >
          Sign in
        </button>
        <button type="button" className="button chat-hide" onClick={layout.toggleChat}>
          Hide
        </button>
      </div>
    </div>
  );
}

/** Dragged, or moved by the arrow keys, it gives the chat more or less room. */
function ResizeHandle() {
  const { layout } = usePlatform();
  const width = useStore(layout.chatWidth);
  const start = useRef<{ x: number; width: number } | undefined>(undefined);
  const move = (event: PointerEvent) => {
    if (start.current !== undefined) layout.resizeChat(start.current.width + start.current.x - event.clientX);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a rule between text is no divider that moves
    <div
      className="chat-resize"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label="Width of the chat"
      aria-valuemin={CHAT_WIDTH.min}
      aria-valuemax={CHAT_WIDTH.max}
      aria-valuenow={width}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        start.current = { x: event.clientX, width };
      }}
      onPointerMove={move}
      onPointerUp={() => {
        start.current = undefined;
      }}
      onDoubleClick={() => layout.resizeChat(CHAT_WIDTH.initial)}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft') layout.resizeChat(width + 20);
        if (event.key === 'ArrowRight') layout.resizeChat(width - 20);
      }}
    />
  );
}
