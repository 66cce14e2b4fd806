// Hands the platform object to the components.
import { createContext, use } from 'react';
import type { Platform } from './platform';

export const PlatformContext = createContext<Platform | undefined>(undefined);

export function usePlatform(): Platform {
  const platform = use(PlatformContext);
  if (platform === undefined) throw new Error('a component was rendered outside the platform');
  return platform;
}
