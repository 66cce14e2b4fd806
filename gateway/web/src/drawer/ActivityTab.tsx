// What happened, newest first.
import { useEffect } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatClock, formatUtc } from '../format/time';
import { useStore } from '../state/store';

export function ActivityTab() {
  const { activity } = usePlatform();
  useEffect(() => void activity.load(), [activity]);
  const list = useStore(activity.list);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what comes while one looks is read too
  useEffect(activity.markRead, [list, activity]);
  if (list.length === 0)
    return (
      <p className="empty">Nothing has happened yet. Finished backtests, alerts and notices appear here.</p>
    );
  return (
    <ul className="activities">
      {list.map((item) => (
        <li key={item.key}>
          <time title={formatUtc(item.at)}>{formatClock(item.at)}</time>
          <strong>{item.title}</strong>
          <span>{item.text}</span>
        </li>
      ))}
    </ul>
  );
}
