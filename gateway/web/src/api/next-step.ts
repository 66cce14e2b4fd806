// What a user can do about a failed request of the account, the chat or a panel: every error names a next step.
import type { ApiError } from './api-error';

const OF_CODE: Readonly<Record<string, string>> = {
  TOTP_REQUIRED: 'Enter the six digits that your authenticator app shows now.',
  FORBIDDEN_ORIGIN: 'Open the page at the address that the platform printed.',
  CONTAINER_UNAVAILABLE: 'Wake the workspace and try again.',
  DISCLAIMER_OUTDATED: 'Reload the page and read the new disclaimer.',
};

const OF_STATUS: Readonly<Record<number, string>> = {
  401: 'Check what you typed, or sign in again.',
  403: 'Ask an administrator of this platform for the right to do this.',
  404: 'It may have been removed meanwhile: reload and try again.',
  409: 'Something changed meanwhile: reload and try again.',
  413: 'Make it shorter and try again.',
  429: 'Wait a little, then try again.',
};

const inWords = (seconds: number): string =>
  seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;

/** In words; never empty. */
export function nextStep(error: ApiError): string {
  if (error.kind !== 'refused') return error.advice;
  if (error.retryAfter !== undefined && error.retryAfter > 0)
    return `Wait ${inWords(error.retryAfter)}, then try again.`;
  const known = OF_CODE[error.code ?? ''] ?? OF_STATUS[error.status ?? 0];
  if (known !== undefined) return known;
  if (error.field !== undefined) return `Correct “${error.field.replaceAll('_', ' ')}” and try again.`;
  return error.retryable ? 'Try again in a moment.' : 'Correct what you entered and try again.';
}
