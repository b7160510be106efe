import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { sharedClient } from './client/shared';
import { App } from './app/App';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/parts.css';
import './styles/panels.css';

const root = document.getElementById('root');
if (root === null) {
  throw new Error('index.html has no #root');
}

createRoot(root).render(
  <StrictMode>
    <App client={sharedClient()} />
  </StrictMode>,
);
