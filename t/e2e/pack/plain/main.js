import { sharedClient } from '/bundle.js';

sharedClient('/ws').subscribe('peers', {
  onData: (data) => {
    document.querySelector('[data-testid=own]').textContent = String(data.total);
  },
});
