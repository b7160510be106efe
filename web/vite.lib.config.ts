import { defineConfig } from 'vite';

/** The hooks and the client as one ES module, without the dashboard. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'lib',
    target: 'es2022',
    minify: false,
    sourcemap: true,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'blockcast' },
    rollupOptions: { external: ['react', 'react/jsx-runtime'] },
  },
});
