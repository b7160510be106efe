import { svelte } from '@sveltejs/vite-plugin-svelte';
import vue from '@vitejs/plugin-vue';

export default {
  plugins: [vue(), svelte()],
  build: { assetsInlineLimit: 0, rollupOptions: { input: ['vue.html', 'svelte.html'] } },
};
