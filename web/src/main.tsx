import './styles/tokens.css';
import './styles/base.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { sharedClient } from './client';
import { App } from './app/App';
import { loadBoard } from './board/load';

/** Rows of a log that a tab keeps as they come: what it holds must not grow for hours. Of a gateway that keeps more all are shown. */
const KEPT = 1000;

/** The folder of index.html: this file is one below it, as built and in development. The gateway is there, too. */
const home = import.meta.url.replace(/[^/]*\/[^/]*$/, '');

const root = document.getElementById('root');
if (root === null) {
  throw new Error('index.html has no #root');
}

const client = sharedClient(`${home}ws`, { keepEntries: KEPT });

// Both are on their way while the page is made. Not from here: the browser notes who asked, and reads all of the script once more for it.
queueMicrotask(() => {
  loadBoard();
  client.hold();
});

createRoot(root).render(
  <StrictMode>
    <App client={client} />
  </StrictMode>,
);
