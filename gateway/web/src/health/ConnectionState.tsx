// Whether this page is connected to the platform, and when it tries again.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { useNow } from '../ui/use-now';

const WORDS = { connecting: 'Connecting', open: 'Connected', waiting: 'Reconnecting', closed: 'Closed' };

export function ConnectionState() {
  const { hub } = usePlatform();
  const connection = useStore(hub.socket.connection);
  const now = useNow(1000);
  const wait =
    connection.status === 'waiting' ? Math.max(0, Math.ceil((connection.retryAt - now) / 1000)) : 0;
  return (
    <div
      className="connection"
      data-status={connection.status}
      data-testid="connection-state"
      title="The live connection of this page to the platform"
    >
      <span className="connection-dot" aria-hidden="true" />
      <span className="connection-words">
        <output>{WORDS[connection.status]}</output>
        {wait > 0 && <span aria-hidden="true"> in {wait} s</span>}
      </span>
    </div>
  );
}
