"""Clients that people use, as they are: Python's websockets, Mojolicious, Chromium; curl is in t/46-sse.t, node's ws,
ethers and EventSource in protocols.test.mjs. CBOR is read by a second independent decoder, cbor2.

If this fails, a program somebody wrote against any WebSocket server does not work with this one."""

# needs: chromium,mojolicious

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import cbor2
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
import bctest  # noqa: E402

TOKEN = 'browser-0123456789abcdef'

PAGE = '''<!doctype html><title>t</title><script>
const seen = {};
const base = 'ws://' + location.host;
function note(k, v) {
    seen[k] = v;
    if (Object.keys(seen).length === 5) {
        fetch('/seen?' + encodeURIComponent(JSON.stringify(seen)));
    }
}
function ws(path, protocols, f) {
    const s = new WebSocket(base + path, protocols);
    s.binaryType = 'arraybuffer';
    s.onopen = () => s.send(JSON.stringify({ type: 'subscribe', stream: 'big' }));
    s.onmessage = e => f(s, e.data);
    return s;
}
ws('/ws', [], (s, d) => { const m = JSON.parse(d);
    if (m.type === 'big') { note('json', [s.protocol, s.extensions, m.data.rows.length]); s.close(1000, 'bye'); } });
ws('/ws', ['blockcast.v1.cbor'], (s, d) => { if (d.byteLength > 1000) { note('cbor', s.protocol); s.close(); } });
ws('/tokens', ['blockcast.v1.json', 'bearer.TOKEN'], (s, d) => { if (JSON.parse(d).type === 'big') note('token', s.protocol); });
new WebSocket(base + '/tokens', 'blockcast.v1.json').onerror = () => note('refused', true);
const events = new EventSource('/events?' + new URLSearchParams({ streams: 'big,other' }));
events.onmessage = e => { if (JSON.parse(e.data).type === 'big') { note('events', e.lastEventId !== ''); events.close(); } };
</script>'''.replace('TOKEN', TOKEN)

MOJO = r'''
use strict; use warnings; use Mojo::UserAgent; use Mojo::IOLoop; use Mojo::JSON 'decode_json';
my $ua = Mojo::UserAgent->new; my @seen;
$ua->websocket($ARGV[0] => { 'Sec-WebSocket-Extensions' => 'permessage-deflate' } => ['blockcast.v1.json'] => sub {
    my ($ua, $tx) = @_;
    die 'refused: ' . $tx->res->code unless $tx->is_websocket;
    $tx->on(json => sub { my ($tx, $m) = @_;
        if ($m->{type} eq 'big') { push @seen, scalar @{ $m->{data}{rows} }; $tx->finish(1000, 'bye') if @seen == 2; } });
    $tx->on(finish => sub { my ($tx, $code) = @_; print join(' ', $tx->protocol, $tx->compressed ? 'deflate' : 'plain',
        $code, @seen), "\n"; Mojo::IOLoop->stop });
    $tx->send({ json => { type => 'subscribe', stream => 'big' } });
});
Mojo::IOLoop->timer(15 => sub { print "timeout\n"; Mojo::IOLoop->stop });
Mojo::IOLoop->start;
'''


def rows(mark):
    return '{"mark":%d,"u64":18446744073709551615,"rows":[%s]}' % (
        mark, ','.join('{"name":"row number %d"}' % i for i in range(80)))


class Clients(bctest.Case):
    folder = tempfile.mkdtemp(prefix='blockcast-clients-')

    @classmethod
    def setUpClass(cls):
        os.chmod(cls.folder, 0o755)
        f = cls.folder
        with open(f + '/index.html', 'w', encoding='utf-8') as page:
            page.write(PAGE)
        with open(f + '/tokens', 'w', encoding='utf-8') as tokens:
            tokens.write(TOKEN + ' page\n')
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-batch',
             '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
             '-out', f + '/cert.pem', '-keyout', f + '/key.pem'], check=True, stderr=subprocess.DEVNULL)
        cls.gateway = {
            'workers': 2, 'node': {'dialect': 'seed'},
            'http': '''
                blockcast_zone main 8m;
                blockcast_stream big { blockcast_interval 100ms; blockcast_call c test.big; }
                blockcast_stream other { blockcast_interval 100ms; blockcast_call c test.big; }
                server {
                    listen 127.0.0.1:%%PORT1%% ssl;
                    ssl_certificate ''' + f + '''/cert.pem;
                    ssl_certificate_key ''' + f + '''/key.pem;
                    location /ws { blockcast_websocket; blockcast_ping_interval 300ms; }
                }''',
            'server': '''
                location / { root ''' + f + '''; }
                location = /seen { return 204; }
                location /ws { blockcast_websocket; blockcast_ping_interval 300ms; }
                location /tokens { blockcast_websocket; blockcast_tokens ''' + f + '''/tokens; }
                location /events { blockcast_sse; }''',
        }
        super().setUpClass()
        cls.set(1)

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            shutil.rmtree(cls.folder)

    @classmethod
    def set(cls, mark):
        body = '{"method":"test.big","result":%s}' % rows(mark)
        cls.gw.node('POST', '/control/set', json.loads(body))

    def url(self, path='/ws'):
        return f'ws://127.0.0.1:{self.gw.port}{path}'

    async def session(self, url, decode=json.loads, encode=json.dumps, **options):
        """Subscribes, sees two updates, pings, closes; returns the connection."""
        async with websockets.connect(url, open_timeout=10, **options) as ws:
            async def until(f):
                while True:
                    m = decode(await asyncio.wait_for(ws.recv(), 10))
                    if f(m):
                        return m
            await until(lambda m: m['type'] == 'welcome')
            await ws.send(encode({'type': 'subscribe', 'stream': 'big', 'id': 2 ** 64 - 1}))
            m = await until(lambda m: m['type'] == 'subscribed')
            self.assertEqual(m['id'], 2 ** 64 - 1)
            first = await until(lambda m: m['type'] == 'big')
            mark = first['data']['mark'] + 1
            await asyncio.to_thread(self.set, mark)
            second = await until(lambda m: m['type'] == 'big' and m['data']['mark'] == mark)
            self.assertEqual(second['seq'], first['seq'] + 1)
            self.assertEqual(len(second['data']['rows']), 80)
            await asyncio.wait_for(await ws.ping(), 10)
            # pings of the server are answered by the library: it stays open
            await asyncio.sleep(1)
            await ws.send(encode({'type': 'ping', 'id': 'end'}))
            await until(lambda m: m.get('id') == 'end')
        self.assertEqual(ws.close_code, 1000)
        return ws

    def test_python_websockets(self):
        ws = asyncio.run(self.session(self.url()))
        self.assertEqual([e.name for e in ws.extensions], ['permessage-deflate'], 'compressed by default')
        ws = asyncio.run(self.session(self.url(), compression=None))
        self.assertEqual(ws.extensions, [])

    def test_python_windows(self):
        for bits in 9, 12, 15:
            asyncio.run(self.session(self.url(), compression=None, extensions=[ClientPerMessageDeflateFactory(
                server_max_window_bits=bits, client_max_window_bits=bits, server_no_context_takeover=True)]))

    def test_python_cbor(self):
        ws = asyncio.run(self.session(self.url(), decode=cbor2.loads, encode=cbor2.dumps,
                                      subprotocols=['nothing', 'blockcast.v1.cbor', 'blockcast.v1.json']))
        self.assertEqual(ws.subprotocol, 'blockcast.v1.cbor')

    def test_python_tls(self):
        context = ssl.create_default_context(cafile=self.folder + '/cert.pem')
        asyncio.run(self.session(f'wss://localhost:{self.gw.ports[1]}/ws', ssl=context,
                                 subprotocols=['blockcast.v1.json']))

    def test_python_many(self):
        """Fifty at once, in both workers, see the same."""
        async def one():
            async with websockets.connect(self.url()) as ws:
                await ws.send('{"type":"subscribe","stream":"big"}')
                async for text in ws:
                    m = json.loads(text)
                    if m['type'] == 'big' and m['data']['mark'] == 5000:
                        return m['seq'], m['timestamp']

        async def all_of_them():
            tasks = [asyncio.create_task(one()) for _ in range(50)]
            await asyncio.sleep(0.5)
            await asyncio.to_thread(self.set, 5000)
            return await asyncio.wait_for(asyncio.gather(*tasks), 20)

        self.assertEqual(len(set(asyncio.run(all_of_them()))), 1)

    def test_mojolicious(self):
        self.set(100)
        process = subprocess.Popen(['perl', '-e', MOJO, self.url()], stdout=subprocess.PIPE, text=True)
        mark = 100
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            mark += 1
            self.set(mark)
            time.sleep(0.3)
        out, _ = process.communicate(timeout=5)
        self.assertRegex(out, r'^blockcast\.v1\.json (deflate|plain) 1000 80 80$')

    def test_chromium(self):
        profile = tempfile.mkdtemp(prefix='blockcast-chromium-')
        browser = subprocess.Popen(
            [shutil.which('chromium'), '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
             '--no-first-run', f'--user-data-dir={profile}', '--remote-debugging-port=0',
             f'http://127.0.0.1:{self.gw.port}/index.html'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            seen = None
            end = time.monotonic() + 60
            while seen is None and time.monotonic() < end:
                time.sleep(0.2)
                for line in self.gw.do('access_log')['log'].splitlines():
                    if '"GET /seen?' in line:
                        seen = json.loads(urllib_unquote(line.split('/seen?')[1].split(' ')[0]))
            self.assertIsNotNone(seen, 'the page has seen everything')
        finally:
            os.killpg(browser.pid, 9)
            browser.wait()
            shutil.rmtree(profile, ignore_errors=True)
        self.assertEqual(seen['json'][0], '')
        self.assertRegex(seen['json'][1], '^permessage-deflate')
        self.assertEqual(seen['json'][2], 80)
        self.assertEqual(seen['cbor'], 'blockcast.v1.cbor')
        self.assertEqual(seen['token'], 'blockcast.v1.json', 'a browser can send its token as a subprotocol')
        self.assertTrue(seen['refused'])
        self.assertTrue(seen['events'])


def urllib_unquote(text):
    from urllib.parse import unquote
    return unquote(text)


if __name__ == '__main__':
    unittest.main(verbosity=2)
