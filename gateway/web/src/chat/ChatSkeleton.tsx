// Stands where messages will be.

export function ChatSkeleton() {
  return (
    <div className="chat-skeleton" role="status" aria-label="Loading the conversation">
      <span className="skeleton" />
      <span className="skeleton" />
      <span className="skeleton" />
      <span className="skeleton" />
    </div>
  );
}
