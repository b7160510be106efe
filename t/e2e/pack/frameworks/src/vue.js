import { createApp } from 'vue';
import App from './Height.vue';

createApp(App).mount('#app');
