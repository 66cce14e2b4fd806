// What the assistant remembers of the conversations: search it, take it along, erase it.
import { type FormEvent, useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { formatOpenTime, formatUtc } from '../format/time';
import { useStore } from '../state/store';
import { ConfirmButton } from '../ui/ConfirmButton';
import { Failure } from '../ui/Problem';
import { saveFile } from '../ui/save-file';
import { useAction } from '../ui/use-action';
import { LoadedList } from './LoadedList';

/** Without words a gateway may list what is newest, or ask for words. */
const NOTHING_ASKED = { status: 'ready', value: [], error: undefined } as const;

function emptyText(query: string, refused: boolean): string {
  if (query !== '') return 'Nothing found. Try other words.';
  return refused ? 'Type words to search for.' : 'Nothing is remembered yet.';
}

export function MemoryTab() {
  const { panels, chat } = usePlatform();
  const state = useStore(panels.memory.state);
  const [query, setQuery] = useState('');
  const [note, setNote] = useState('');
  const { busy, error, run, forget } = useAction();
  const search = () => void panels.memory.load(query.trim());
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once when the tab opens
  useEffect(search, [panels]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    search();
  };
  const exportAll = () =>
    run(async () => saveFile('memory.jsonl', 'application/jsonl', await panels.exportMemory()));
  const erase = () =>
    run(async () => {
      const count = await panels.eraseMemory();
      setNote(count === undefined ? 'Everything was erased.' : `${count} messages were erased.`);
      search();
      void chat.open(chat.conversation.get().id);
    });

  return (
    <div className="memory">
      <form className="toolbar" onSubmit={submit}>
        <input
          className="text-input"
          type="search"
          placeholder="Search what was said"
          aria-label="Search the memory"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        <button type="submit" className="button">
          Search
        </button>
        <span className="toolbar-end">
          <button type="button" className="button" disabled={busy} onClick={() => void exportAll()}>
            Export
          </button>
          <ConfirmButton
            label="Erase"
            question="Erase everything that was said, for ever?"
            confirm="Erase everything"
            disabled={busy}
            onConfirm={() => void erase()}
          />
        </span>
      </form>
      {error !== undefined && <Failure error={error} onDismiss={forget} />}
      {note !== '' && <p role="status">{note}</p>}
      <LoadedList
        state={state.error?.kind === 'refused' && query === '' ? NOTHING_ASKED : state}
        empty={emptyText(query, state.error !== undefined)}
        onRetry={search}
      >
        {(found) => (
          <ul className="memories">
            {found.map((message) => (
              <li key={message.id}>
                <span className="memory-who">
                  {message.role}
                  {message.at !== undefined && (
                    <time title={formatUtc(message.at)}> · {formatOpenTime(message.at / 1000, 60)}</time>
                  )}
                </span>
                <p>{message.text}</p>
              </li>
            ))}
          </ul>
        )}
      </LoadedList>
    </div>
  );
}
