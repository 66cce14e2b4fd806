// How one may sign in on this platform.
import { asBoolean, asNumber, asRecord, asString, optional } from '../api/decode';

export interface AuthOptions {
  readonly signUp: boolean;
  /** One may look around without an account. */
  readonly anonymous: boolean;
  readonly telegramBot: string | undefined;
  readonly disclaimer: { readonly version: string; readonly text: string };
  readonly minimumAge: number;
}

/** Telegram's own rule; anything else would not be put into an address. */
const BOT = /^[A-Za-z][A-Za-z0-9_]{3,31}$/;

export function decodeAuthOptions(body: unknown): AuthOptions {
  const options = asRecord(body);
  const disclaimer = asRecord(options.disclaimer, 'disclaimer');
  const bot = optional(options.telegram_bot, asString, 'telegram_bot');
  return {
    signUp: asBoolean(options.sign_up, 'sign_up'),
    anonymous: optional(options.anonymous, asBoolean, 'anonymous') ?? false,
    telegramBot: bot !== undefined && BOT.test(bot) ? bot : undefined,
    disclaimer: {
      version: asString(disclaimer.version, 'disclaimer.version'),
      text: asString(disclaimer.text, 'disclaimer.text'),
    },
    minimumAge: asNumber(options.minimum_age, 'minimum_age'),
  };
}
