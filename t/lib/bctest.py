"""A real nginx with the module for Python suites.

    import bctest

    class Streams(bctest.Case):
        gateway = dict(workers=2, node={'dialect': 'seed'},
                       http='blockcast_stream s { blockcast_call c net.stats; }',
                       server='location /ws { blockcast_websocket; }')

        def test_something(self):
            url = f'ws://127.0.0.1:{self.gw.port}/ws'

The arguments are those of Blockcast::Test (t/lib/Blockcast/Test.pm), which
does the work. One nginx for the tests of a class; when the last has run it is
stopped, and an alert, a sanitizer's report or a process left fails the class.
"""

import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))

SLOW = 3 if os.environ.get('BLOCKCAST_SANITIZE') else 1


class Gateway:
    def __init__(self, **arg):
        env = dict(os.environ)
        env['PERL5LIB'] = HERE + (
            ':' + env['PERL5LIB'] if env.get('PERL5LIB') else '')
        self.process = subprocess.Popen(
            ['perl', os.path.join(HERE, 'gateway.pl')], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.__dict__.update(self._ask(arg))

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError('the helper ended')
        answer = json.loads(line)
        if 'error' in answer:
            raise RuntimeError(answer['error'])
        return answer

    def do(self, command, **arg):
        """One command of t/lib/gateway.pl."""
        return self._ask({'do': command, **arg})

    def workers(self):
        return self.do('workers')['workers']

    def reload(self, gone=None):
        return self.do('reload', gone=gone)['ok']

    def signal(self, name, pid=None):
        self.do('signal', name=name, pid=pid or self.master)

    def log(self):
        return self.do('log')['log']

    def allow(self, pattern):
        self.do('allow', pattern=pattern)

    def request(self, method, path, body=None, headers=None, port=None,
                timeout=10):
        """Returns (status, headers, body as bytes)."""
        request = urllib.request.Request(
            f'http://127.0.0.1:{port or self.port}{path}', method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={'Host': 'localhost', **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as r:
                return r.status, r.headers, r.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.headers, e.read()

    def get(self, path, **arg):
        return self.request('GET', path, **arg)

    def get_json(self, path, **arg):
        return json.loads(self.get(path, **arg)[2])

    def node(self, method, path, body=None):
        """A control call to the simulated node."""
        status, _, text = self.request(method, path, body,
                                       port=self.node_port)
        if status != 200:
            raise RuntimeError(f'simulated node: {path}: {status} {text!r}')
        return json.loads(text)

    def stop(self):
        """Stops everything; returns a list of what was wrong."""
        if self.process is None:
            return []
        try:
            return self.do('stop')['wrong']
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait(60)
            self.process = None


class Case(unittest.TestCase):
    gateway = {}

    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(**cls.gateway)

    @classmethod
    def tearDownClass(cls):
        wrong = cls.gw.stop()
        if wrong:
            raise AssertionError('at the end: ' + '\n'.join(wrong))
