// What the panels show of a user's workspace: files, backtests, memory. Each is asked for when its panel opens.
import type { Call } from '../api/client';
import { asList, asMoment, asNumber, asRecord, asString, optional } from '../api/decode';
import { type BacktestReport, readReport } from '../cards/backtest-report';
import { Loadable } from '../state/loadable';

export const FILE_KINDS = ['strategies', 'indicators'] as const;
export type FileKind = (typeof FILE_KINDS)[number];

export interface FileEntry {
  readonly kind: FileKind;
  readonly name: string;
  readonly about: string;
  readonly modifiedAt: number | undefined;
  readonly commit: string | undefined;
}

export interface FileText {
  readonly code: string;
  readonly commit: string;
}

export interface Commit {
  readonly id: string;
  readonly author: string;
  readonly why: string;
  readonly at: number | undefined;
}

export interface RunEntry {
  readonly id: string;
  readonly strategy: string;
  readonly market: string;
  readonly interval: string;
  readonly at: number | undefined;
  readonly report: BacktestReport;
}

export interface Remembered {
  readonly id: string;
  readonly role: string;
  readonly text: string;
  readonly conversation: string;
  readonly at: number | undefined;
}

const part = encodeURIComponent;
/** Runs that are listed. */
const RUNS = 50;
const MEMORIES = 20;
/** Reports in memory; the oldest goes first. */
const REPORTS = 20;
/** A workspace that sleeps is woken first. */
const WAKE_MS = 40_000;

const text = (value: unknown, path: string): string => optional(value, asString, path) ?? '';

const decodeFile =
  (kind: FileKind) =>
  (value: unknown, path: string): FileEntry => {
    const json = asRecord(value, path);
    const modified = optional(json.modified_ns ?? json.modified_at, asMoment, `${path}.modified_ns`);
    return {
      kind,
      name: asString(json.name, `${path}.name`),
      about: text(json.about, `${path}.about`),
      modifiedAt: modified === 0 ? undefined : modified,
      commit: optional(json.last_commit ?? json.commit, asString, `${path}.last_commit`),
    };
  };

const decodeCommit = (value: unknown, path: string): Commit => {
  const json = asRecord(value, path);
  return {
    id: asString(json.id ?? json.commit, `${path}.id`),
    author: text(json.author, `${path}.author`),
    why: text(json.why ?? json.message, `${path}.why`),
    at: optional(json.at_s ?? json.at_ns ?? json.at, asMoment, `${path}.at_s`),
  };
};

const decodeRun = (value: unknown, path: string): RunEntry => {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    strategy: text(json.strategy, `${path}.strategy`),
    market: text(json.market, `${path}.market`),
    interval: text(json.interval, `${path}.interval`),
    at: optional(json.at_ns ?? json.at, asMoment, `${path}.at_ns`),
    report: readReport(json),
  };
};

const decodeMemory = (value: unknown, path: string): Remembered => {
  const json = asRecord(value, path);
  return {
    id: asString(json.id, `${path}.id`),
    role: text(json.role, `${path}.role`),
    text: text(json.content ?? json.text, `${path}.content`),
    conversation: text(json.conversation ?? json.conversation_id, `${path}.conversation`),
    at: optional(json.at_ns ?? json.at, asMoment, `${path}.at_ns`),
  };
};

export class Panels {
  readonly files: Readonly<Record<FileKind, Loadable<FileEntry[]>>>;
  readonly backtests: Loadable<RunEntry[]>;
  readonly memory: Loadable<Remembered[], [query: string]>;
  private readonly call: Call;
  private readonly reports = new Map<string, Promise<BacktestReport>>();

  constructor(call: Call) {
    this.call = call;
    this.files = {
      strategies: new Loadable(() => this.listFiles('strategies')),
      indicators: new Loadable(() => this.listFiles('indicators')),
    };
    this.backtests = new Loadable(() => this.listRuns());
    this.memory = new Loadable((query: string) => this.search(query));
  }

  reset(): void {
    for (const panel of [this.files.strategies, this.files.indicators, this.backtests, this.memory])
      panel.reset();
    this.reports.clear();
  }

  /** The file as it is now, or as a commit holds it. */
  readonly readFile = (kind: FileKind, name: string, commit?: string): Promise<FileText> =>
    this.call(
      { method: 'GET', path: `files/${kind}/${part(name)}`, query: { commit }, timeoutMs: WAKE_MS },
      (body) => {
        const json = asRecord(body);
        return {
          code: asString(json.code ?? json.content, 'code'),
          commit: text(json.commit, 'commit'),
        };
      },
    );

  readonly history = (kind: FileKind, name: string): Promise<Commit[]> =>
    this.call({ method: 'GET', path: `files/${kind}/${part(name)}/history`, timeoutMs: WAKE_MS }, (body) =>
      asList(asRecord(body).commits, decodeCommit, 'commits'),
    );

  /** Asked for once: a run never changes. */
  readonly report = (id: string): Promise<BacktestReport> => {
    const known = this.reports.get(id);
    if (known !== undefined) return known;
    const asked = this.call({ method: 'GET', path: `backtests/${part(id)}`, timeoutMs: WAKE_MS }, readReport);
    this.reports.set(id, asked);
    asked.catch(() => this.reports.delete(id));
    const [oldest] = this.reports.keys();
    if (this.reports.size > REPORTS && oldest !== undefined) this.reports.delete(oldest);
    return asked;
  };

  readonly reportPage = (id: string): Promise<string> =>
    this.call(
      { method: 'GET', path: `backtests/${part(id)}/report.html`, expects: 'text', timeoutMs: WAKE_MS },
      (body) => asString(body, 'report'),
    );

  readonly exportMemory = (): Promise<string> =>
    this.call({ method: 'GET', path: 'memory/export', expects: 'text', timeoutMs: WAKE_MS }, (body) =>
      asString(body, 'export'),
    );

  readonly eraseMemory = (): Promise<number | undefined> =>
    this.call({ method: 'DELETE', path: 'memory', timeoutMs: WAKE_MS }, (body) =>
      body === undefined ? undefined : optional(asRecord(body).erased, asNumber, 'erased'),
    );

  private listFiles(kind: FileKind): Promise<FileEntry[]> {
    return this.call({ method: 'GET', path: 'files', query: { kind }, timeoutMs: WAKE_MS }, (body) =>
      asList(asRecord(body).files, decodeFile(kind), 'files'),
    );
  }

  private listRuns(): Promise<RunEntry[]> {
    return this.call(
      { method: 'GET', path: 'backtests', query: { limit: RUNS }, timeoutMs: WAKE_MS },
      (body) => asList(asRecord(body).backtests, decodeRun, 'backtests'),
    );
  }

  private search(query: string): Promise<Remembered[]> {
    return this.call(
      { method: 'GET', path: 'memory', query: { query, limit: MEMORIES }, timeoutMs: WAKE_MS },
      (body) => asList(asRecord(body).messages, decodeMemory, 'messages'),
    );
  }
}
