import { mount } from 'svelte';
import App from './Height.svelte';

mount(App, { target: document.getElementById('app') });
