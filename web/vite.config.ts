import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { gzipAssets } from './scripts/gzip-assets';

const GATEWAY = process.env.BLOCKCAST_GATEWAY ?? 'http://127.0.0.1:8000';

export default defineConfig({
  // What the page loads is beside it, wherever that is: the dashboard may be below a prefix.
  base: './',
  plugins: [react(), gzipAssets()],
  server: {
    port: 5173,
    proxy: {
      '/ws': { target: GATEWAY, ws: true },
      '/api': GATEWAY,
      '/theblock': GATEWAY,
      '/health': GATEWAY,
      '/dashboard.json': GATEWAY,
    },
  },
  build: {
    target: 'es2022',
    // Under a strict policy everything is a file of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: {
    environment: 'jsdom',
    include: ['test/**/*.test.{ts,tsx}'],
    setupFiles: ['test/setup.ts'],
    restoreMocks: true,
    testTimeout: 20_000,
  },
});
