// Entry: builds the platform object, starts it, renders the page.
import './app/font.css';
import './theme/tokens.css';
import './app/base.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { createPlatform, startPlatform } from './app/platform';
import { PlatformContext } from './app/platform-context';
import { takeArrival } from './session/login-link';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');

// First of all: a login token does not stay in the address bar.
const arrival = takeArrival();
const platform = createPlatform();
startPlatform(platform, arrival);
createRoot(root).render(
  <StrictMode>
    <PlatformContext value={platform}>
      <App />
    </PlatformContext>
  </StrictMode>,
);
