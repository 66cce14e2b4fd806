// One request over HTTP: address, time limit, abort, JSON, and every failure turned into a typed ApiError.
import { ApiError } from './api-error';
import { DecodeError } from './decode';

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

export type GetJson = <T>(
  path: string,
  query: Query,
  decode: (body: unknown) => T,
  options?: RequestOptions,
) => Promise<T>;

export interface Request extends RequestOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Behind `/api/v1/`. */
  readonly path: string;
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** What the answer is: JSON unless said otherwise. */
  readonly expects?: 'json' | 'text';
}

export type Call = <T>(request: Request, decode: (body: unknown) => T) => Promise<T>;
export type FetchImpl = (input: string, init: RequestInit) => Promise<Response>;

/** Longer than the gateway waits for history, so that its own answer arrives first. */
const TIMEOUT_MS = 12_000;

function address(base: string, path: string, query: Query): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') params.set(key, String(value));
  }
  const text = params.toString();
  return `${base}/api/v1/${path}${text === '' ? '' : `?${text}`}`;
}

function initOf({ method, body, expects }: Request, signal: AbortSignal): RequestInit {
  const accept = expects === 'text' ? '*/*' : 'application/json';
  if (body === undefined) return { method, signal, headers: { accept } };
  return {
    method,
    signal,
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

/** Reads the body; a refusal is always JSON, and no body is undefined. */
async function bodyOf(response: Response, { expects }: Request, signal: AbortSignal): Promise<unknown> {
  if (expects === 'text' && response.ok) return response.text();
  return response.json().catch((error: unknown) => {
    if (signal.aborted) throw error;
    return undefined;
  });
}

/** The header in its form with seconds; the one with a date is not used here. */
function retryAfterOf({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.ceil(seconds) : undefined;
}

/** Makes the function that asks the gateway at `base` (empty: where the page came from). */
export function createCall(base = '', fetchImpl: FetchImpl = (input, init) => fetch(input, init)): Call {
  return async (request, decode) => {
    const timeout = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    let response: Response;
    let body: unknown;
    try {
      response = await fetchImpl(address(base, request.path, request.query ?? {}), initOf(request, signal));
      body = await bodyOf(response, request, signal);
    } catch (error) {
      if (request.signal?.aborted) throw new DOMException('request no longer needed', 'AbortError');
      if (timeout.aborted)
        throw new ApiError('timeout', 'The gateway did not answer in time.', { cause: error });
      throw new ApiError('unreachable', 'The gateway cannot be reached.', { cause: error });
    }
    if (!response.ok) throw ApiError.fromResponse(response.status, body, retryAfterOf(response));
    try {
      return decode(body);
    } catch (error) {
      if (error instanceof DecodeError) {
        throw new ApiError('malformed', `The gateway's answer is not understood (${error.message}).`, {
          cause: error,
        });
      }
      throw error;
    }
  };
}

/** The same for reading only. */
export function createGet(base = '', fetchImpl?: FetchImpl): GetJson {
  const call = createCall(base, fetchImpl);
  return (path, query, decode, options = {}) => call({ method: 'GET', path, query, ...options }, decode);
}

/** For answers without content. */
export const nothing = (): void => undefined;
