// What can go wrong between the page and the gateway, and what the user can do about each.
import { asBoolean, asRecord, asString, optional } from './decode';

export type ApiErrorKind = 'unreachable' | 'timeout' | 'refused' | 'broken' | 'malformed';

const ADVICE: Record<ApiErrorKind, string> = {
  unreachable: 'Check that the platform is running (make up); the page tries again by itself.',
  timeout: 'The platform is slow to answer. Try again, or choose a shorter range.',
  broken: 'Try again in a moment. If it stays, look at the log of the gateway.',
  malformed: 'Page and gateway do not fit together. Reload the page; if it stays, update the platform.',
  refused: 'Choose another symbol or timeframe.',
};

/** A failed request, with the reason as a kind and the gateway's own words. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly kind: ApiErrorKind;
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly retryable: boolean;
  /** Of the request, if one is at fault. */
  readonly field: string | undefined;
  /** Seconds after which the gateway expects the same request to be taken. */
  readonly retryAfter: number | undefined;

  constructor(
    kind: ApiErrorKind,
    message: string,
    detail: {
      status?: number;
      code?: string;
      retryable?: boolean;
      field?: string;
      retryAfter?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: detail.cause });
    this.kind = kind;
    this.status = detail.status;
    this.code = detail.code;
    this.field = detail.field;
    this.retryAfter = detail.retryAfter;
    this.retryable = detail.retryable ?? (kind === 'unreachable' || kind === 'timeout' || kind === 'broken');
  }

  /** Reads the gateway's error body; an unknown body still gives an error with the status. */
  static fromResponse(status: number, body: unknown, retryAfter?: number): ApiError {
    const kind = status >= 500 ? 'broken' : 'refused';
    try {
      const error = asRecord(asRecord(body).error, 'error');
      const retryable = optional(error.retryable, asBoolean, 'error.retryable');
      const field = optional(error.field, asString, 'error.field');
      return new ApiError(kind, asString(error.message, 'error.message'), {
        status,
        ...(field === undefined || field === '' ? {} : { field }),
        ...(retryAfter === undefined ? {} : { retryAfter }),
        code: asString(error.code, 'error.code'),
        ...(retryable === undefined ? {} : { retryable }),
      });
    } catch {
      return new ApiError(kind, `The gateway answered with status ${status}.`, { status });
    }
  }

  /** The next step, in words for the user. */
  get advice(): string {
    if (this.status === 401) return 'Sign in, then it comes.';
    return this.kind === 'refused' && this.retryable ? 'Try again in a moment.' : ADVICE[this.kind];
  }
}

/** Anything thrown while asking, as an ApiError; an abort is passed through untouched. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('broken', error instanceof Error ? error.message : 'Unknown failure.', {
    cause: error,
  });
}

export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError';
