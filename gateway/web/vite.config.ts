// Build and development server of the market page.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const gateway = 'http://127.0.0.1:3000';

export default defineConfig({
  plugins: [react()],
  build: {
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // The font is loaded as a file of its own, so that scripts and styles arrive first.
    assetsInlineLimit: 1024,
  },
  server: {
    proxy: {
      '/api': gateway,
      '/openapi.json': gateway,
      '/ws': { target: gateway, ws: true },
    },
  },
});
