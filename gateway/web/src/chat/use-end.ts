// Keeps a list that grows at its end in view, as long as one reads there.
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

interface End {
  readonly list: RefObject<HTMLDivElement | null>;
  readonly content: RefObject<HTMLDivElement | null>;
  /** Somebody reads further up. */
  readonly away: boolean;
  readonly onScroll: () => void;
  readonly go: () => void;
}

/** So near to the end counts as reading there. */
const NEAR_PX = 60;

/** Goes to the end when another list is shown and when something of one's own was added to it. */
export function useEnd(listId: string, ownId: string | undefined): End {
  const list = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const [away, setAway] = useState(false);

  const go = useCallback(() => {
    atEnd.current = true;
    setAway(false);
    const node = list.current;
    if (node !== null) node.scrollTop = node.scrollHeight;
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another list, or a message of one's own, is looked at
  useEffect(go, [go, listId, ownId]);

  useLayoutEffect(() => {
    const node = content.current;
    if (node === null) return undefined;
    // Cards and pictures grow by themselves: whoever reads at the end stays there.
    const observer = new ResizeObserver(() => {
      if (atEnd.current && list.current !== null) list.current.scrollTop = list.current.scrollHeight;
    });
    observer.observe(node);
    if (list.current !== null) observer.observe(list.current);
    return () => observer.disconnect();
  }, []);

  const onScroll = useCallback(() => {
    const node = list.current;
    if (node === null) return;
    atEnd.current = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_PX;
    setAway(!atEnd.current);
  }, []);

  return { list, content, away, onScroll, go };
}
