/** Everything but React in one file, for `<script type="module">`: defines the elements when it is loaded. */
import { defineElements } from './elements';

export * from './client';
export * from './elements';

defineElements();
