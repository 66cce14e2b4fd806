// Strategies and indicators of the workspace: the list, a file, its history and what each commit changed.
import { useEffect, useState } from 'react';
import { type ApiError, toApiError } from '../api/api-error';
import { usePlatform } from '../app/platform-context';
import { DiffView } from '../cards/DiffView';
import { type DiffLine, diffLines } from '../cards/diff';
import { formatOpenTime, formatUtc } from '../format/time';
import { CodeBlock } from '../markdown/CodeBlock';
import { useStore } from '../state/store';
import { Failure } from '../ui/Problem';
import { LoadedList } from './LoadedList';
import { type Commit, FILE_KINDS, type FileEntry, type FileKind } from './panels';

const KINDS: Record<FileKind, string> = { strategies: 'Strategies', indicators: 'Indicators' };

export function FilesTab() {
  const { panels } = usePlatform();
  const [chosen, setChosen] = useState<FileEntry>();
  useEffect(() => {
    for (const kind of FILE_KINDS) void panels.files[kind].load();
  }, [panels]);
  return (
    <div className="split">
      <div className="split-list">
        {FILE_KINDS.map((kind) => (
          <FileList key={kind} kind={kind} chosen={chosen} onChoose={setChosen} />
        ))}
      </div>
      <div className="split-detail">
        {chosen === undefined ? (
          <p className="empty">Choose a file to read it and to see how it changed.</p>
        ) : (
          <FileView key={`${chosen.kind}/${chosen.name}`} file={chosen} />
        )}
      </div>
    </div>
  );
}

interface FileListProps {
  readonly kind: FileKind;
  readonly chosen: FileEntry | undefined;
  readonly onChoose: (file: FileEntry) => void;
}

function FileList({ kind, chosen, onChoose }: FileListProps) {
  const { panels } = usePlatform();
  const state = useStore(panels.files[kind].state);
  return (
    <section>
      <h3>{KINDS[kind]}</h3>
      <LoadedList
        state={state}
        empty={`No ${kind} yet. Ask the assistant to write one.`}
        onRetry={() => void panels.files[kind].load()}
      >
        {(files) => (
          <ul className="rows">
            {files.map((file) => (
              <li key={file.name}>
                <button
                  type="button"
                  aria-current={chosen?.kind === kind && chosen.name === file.name ? 'true' : undefined}
                  data-testid={`file-${kind}-${file.name}`}
                  onClick={() => onChoose(file)}
                >
                  <strong>{file.name}</strong>
                  <span>{file.about}</span>
                </button>
              </li>
            ))}
          </ul>
        )}
      </LoadedList>
    </section>
  );
}

type View = { readonly code: string } | { readonly diff: readonly DiffLine[]; readonly of: Commit };

function FileView({ file }: { readonly file: FileEntry }) {
  const { panels } = usePlatform();
  const { kind, name } = file;
  const [view, setView] = useState<View>();
  const [commits, setCommits] = useState<readonly Commit[]>([]);
  const [error, setError] = useState<ApiError>();

  const show = (asked: Promise<View>) => {
    setError(undefined);
    asked.then(setView, (thrown: unknown) => setError(toApiError(thrown)));
  };
  const now = () => show(panels.readFile(kind, name).then(({ code }) => ({ code })));

  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each file; the view has its key
  useEffect(() => {
    now();
    panels.history(kind, name).then(setCommits, (thrown: unknown) => setError(toApiError(thrown)));
  }, [panels, kind, name]);

  const compare = async (commit: Commit, index: number): Promise<View> => {
    const older = commits[index + 1];
    const [after, before] = await Promise.all([
      panels.readFile(kind, name, commit.id),
      older === undefined ? undefined : panels.readFile(kind, name, older.id),
    ]);
    return { diff: diffLines(before?.code ?? '', after.code), of: commit };
  };

  const shownCommit = view !== undefined && 'of' in view ? view.of.id : undefined;
  return (
    <div className="file-view" data-testid="file-view">
      <header>
        <h3>
          {kind}/{name}
        </h3>
        <button type="button" className="button small" aria-pressed={shownCommit === undefined} onClick={now}>
          As it is now
        </button>
      </header>
      {error !== undefined && <Failure error={error} onRetry={now} />}
      <div className="file-columns">
        <div className="file-text">
          {view === undefined && error === undefined && <span className="skeleton file-skeleton" />}
          {view !== undefined &&
            ('code' in view ? (
              <CodeBlock code={view.code} language="python" />
            ) : (
              <DiffView lines={view.diff} />
            ))}
        </div>
        <ol className="history" aria-label="History">
          {commits.map((commit, index) => (
            <li key={commit.id}>
              <button
                type="button"
                aria-current={shownCommit === commit.id ? 'true' : undefined}
                onClick={() => show(compare(commit, index))}
              >
                <strong>{commit.why || 'Changed'}</strong>
                <span>
                  <code>{commit.id.slice(0, 8)}</code> {commit.author}
                  {commit.at !== undefined && (
                    <time title={formatUtc(commit.at)}> {formatOpenTime(commit.at / 1000, 60)}</time>
                  )}
                </span>
              </button>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
