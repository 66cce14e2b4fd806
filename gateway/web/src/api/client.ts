// One GET over HTTP: address, time limit, abort, JSON, and every failure turned into a typed ApiError.
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

/** Makes the function that asks the gateway at `base` (empty: where the page came from). */
export function createGet(base = '', fetchImpl: typeof fetch = (...args) => fetch(...args)): GetJson {
  return async (path, query, decode, options = {}) => {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    let response: Response;
    let body: unknown;
    try {
      response = await fetchImpl(address(base, path, query), {
        signal,
        headers: { accept: 'application/json' },
      });
      body = await response.json().catch((error: unknown) => {
        if (signal.aborted) throw error;
        return undefined;
      });
    } catch (error) {
      if (options.signal?.aborted) throw new DOMException('request no longer needed', 'AbortError');
      if (timeout.aborted)
        throw new ApiError('timeout', 'The gateway did not answer in time.', { cause: error });
      throw new ApiError('unreachable', 'The gateway cannot be reached.', { cause: error });
    }
    if (!response.ok) throw ApiError.fromResponse(response.status, body);
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
