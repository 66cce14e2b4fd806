// What a screen reader is told of the answer: each tool and the finished text once, not every word as it streams.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { answerOf, type Turn } from './turn';

const MAX_SPOKEN = 1200;

function wordsOf(turn: Turn): string {
  if (turn.end !== undefined) {
    const { outcome, problem } = turn.end;
    const answer = answerOf(turn).slice(0, MAX_SPOKEN);
    return outcome === 'complete' ? `Answer: ${answer}` : `${answer} ${problem?.message ?? outcome}`;
  }
  const running = turn.tools.findLast(({ end }) => end === undefined);
  if (running !== undefined) return `Working: ${running.title}`;
  return turn.notices.at(-1)?.text ?? 'The assistant is answering';
}

export function LiveRegion() {
  const { chat } = usePlatform();
  const { turns } = useStore(chat.conversation);
  const phase = useStore(chat.phase);
  const last = turns.at(-1);
  return (
    <div className="visually-hidden" role="status" aria-live="polite" aria-atomic="true">
      {phase.status === 'ready' && last !== undefined && last.sequence > 0 ? wordsOf(last) : ''}
    </div>
  );
}
