import type { ReactNode } from 'react';
import { StreamProvider } from 'blockcast-web';

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <StreamProvider url={process.env.NEXT_PUBLIC_GATEWAY}>{children}</StreamProvider>
      </body>
    </html>
  );
}
