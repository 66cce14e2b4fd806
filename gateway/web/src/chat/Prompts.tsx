// An empty conversation: what one might ask, as buttons.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';

const SKELETONS = ['a', 'b', 'c', 'd'];

export function Prompts() {
  const { chat, session } = usePlatform();
  const prompts = useStore(chat.prompts);
  return (
    <div className="prompts">
      <h2>Hello{session.user === undefined ? '' : `, ${session.user.name}`}</h2>
      <p>Ask in your own words, or begin with one of these.</p>
      <ul>
        {prompts?.map((prompt) => (
          <li key={prompt.id}>
            <button
              type="button"
              className="prompt"
              data-testid={`prompt-${prompt.id}`}
              title={prompt.text}
              onClick={() => chat.send(prompt.text)}
            >
              <strong>{prompt.label}</strong>
              <span>{prompt.text}</span>
            </button>
          </li>
        ))}
        {prompts === undefined &&
          SKELETONS.map((key) => (
            <li key={key} aria-hidden="true">
              <span className="skeleton prompt-skeleton" />
            </li>
          ))}
      </ul>
    </div>
  );
}
