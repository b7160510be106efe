#!/usr/bin/python3
"""CBOR and merge patches against implementations of other people.

What breaks for a user if this fails: a client with any CBOR library of its
own reads other values than a JSON client does, or is misunderstood; a client
that asked for deltas ends up with another state than one that did not.
"""

import glob
import json
import math
import os
import random
import struct
import subprocess
import tempfile
import unittest

import cbor2

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

KEYS = ['a', 'b', 'height', 'peers', '', 'ü', '水', '😀', 'q"uote', 'new\nline']
WORDS = ['', 'x', 'null', 'blocks', 'é', '\x7f', '\x00', '/\\', 'x' * 30,
         'y' * 300]


def number(rng):
    bits = rng.choice([4, 8, 16, 32, 53, 63, 64, 65, 128, 256])
    n = rng.getrandbits(bits)
    if rng.random() < 0.3:
        n = (1 << bits) - 1 + rng.randrange(3)
    return -n if rng.random() < 0.4 else n


def real(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return rng.uniform(-1000, 1000)
    if kind == 1:
        return rng.randrange(-4096, 4096) / 64
    if kind == 2:
        return rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300)
    if kind == 3:
        return math.ldexp(rng.randrange(-2048, 2048), rng.randrange(-30, 20))
    if kind == 4:
        return math.ldexp(rng.randrange(1 << 24), rng.randrange(-160, 100))
    return rng.choice([0.1, -0.0, 0.0, 5e-324, 1.7976931348623157e308, 65504.0,
                       65505.0, 6.097555160522461e-05, 2.0 ** -24, 2.0 ** -25])


def value(rng, depth=4, nulls=True):
    kind = rng.randrange(10 if depth else 7)
    if kind < 2:
        return number(rng)
    if kind == 2:
        return real(rng)
    if kind == 3:
        return rng.choice([True, False, None if nulls else 0])
    if kind < 7:
        return rng.choice(WORDS)
    if kind == 7:
        return [value(rng, depth - 1) for _ in range(rng.choice([0, 2, 30]))]
    return tree(rng, depth - 1, nulls)


def tree(rng, depth, nulls=True):
    return {k: value(rng, depth, nulls)
            for k in rng.sample(KEYS, rng.randrange(len(KEYS)))}


def changed(rng, data):
    """Another state of a stream: mostly the same."""
    data = dict(data)
    for key in rng.sample(KEYS, rng.randrange(4)):
        if isinstance(data.get(key), dict) and rng.random() < 0.7:
            data[key] = changed(rng, data[key])
        elif key in data and rng.random() < 0.3:
            del data[key]
        else:
            data[key] = value(rng, 2, rng.random() < 0.1)
    items = list(data.items())
    if rng.random() < 0.3:
        rng.shuffle(items)
    return dict(items)


def typed(v):
    """Equal only when types and signs are: 1, 1.0 and True are not."""
    if isinstance(v, dict):
        return ('map', {k: typed(x) for k, x in v.items()})
    if isinstance(v, list):
        return [typed(x) for x in v]
    if isinstance(v, float):
        return ('float', v.hex())
    return (type(v).__name__, v)


def merge(target, patch):
    """RFC 7396, 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, v in patch.items():
        if v is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), v)
    return result


def has_null(v):
    return v is None or isinstance(v, dict) and any(map(has_null, v.values()))


def possible(old, new):
    """Can a patch make new of old?"""
    for key, v in new.items():
        if key in old:
            if isinstance(old[key], dict) and isinstance(v, dict):
                if not possible(old[key], v):
                    return False
                continue
            if typed(old[key]) == typed(v):
                continue
        if has_null(v):
            return False
    return True


def text(v, rng, escapes=None):
    """JSON as some node may write it."""
    if escapes is None:
        escapes = rng.random() < 0.3
    spaces = ' ' if rng.random() < 0.3 else ''
    return json.dumps(v, ensure_ascii=escapes,
                      separators=(',' + spaces, ':' + spaces))


def exact(s):
    """A JSON text as a value whose numbers are the digits in the text."""
    return json.loads(s, parse_int=lambda d: ('number', d),
                      parse_float=lambda d: ('number', d))


def shortest(v):
    """Deterministic CBOR; cbor2 does not see that 50720.0 is a half float."""
    if not isinstance(v, float):
        return cbor2.dumps(v, canonical=True)
    for head, form in (b'\xf9', '>e'), (b'\xfa', '>f'), (b'\xfb', '>d'):
        try:
            packed = struct.pack(form, v)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == v:
            return head + packed


class Codec(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.dir.name, 'codec')
        # everything that is no nginx; of the libraries what that needs
        subprocess.run(
            ['gcc', '-std=gnu11', '-O1', '-g', '-Wall', '-Werror',
             '-I' + os.path.join(ROOT, 'src', 'core'), '-o', cls.program,
             os.path.join(HERE, 'lib', 'codec.c'),
             *sorted(glob.glob(os.path.join(ROOT, 'src', 'core', 'bc_*.c'))),
             '-lcbor', '-lcjson', '-lhiredis', '-ljq', '-lz', '-lm'], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def ask(self, questions):
        questions = list(questions)
        out = subprocess.run([self.program], text=True, check=True,
                             input='\n'.join(questions) + '\n',
                             stdout=subprocess.PIPE).stdout
        answers = out.split('\n')[:-1]
        self.assertEqual(len(answers), len(questions))
        return answers

    def recorded(self):
        found = []
        for name in sorted(glob.glob(os.path.join(ROOT, 't/recorded/*.json'))):
            with open(name, encoding='utf-8') as f:
                found.append(f.read().replace('\n', ' '))
        self.assertGreater(len(found), 20)
        return found

    def test_recorded_replies_are_the_same_values_in_cbor(self):
        texts = self.recorded()
        for t, cbor in zip(texts, self.ask('J ' + t for t in texts)):
            got = cbor2.loads(bytes.fromhex(cbor))
            self.assertEqual(typed(got), typed(json.loads(t)), t)
            self.assertLess(len(cbor) // 2, len(t))

    def test_random_values_are_the_same_in_cbor(self):
        rng = random.Random(8949)
        values = [value(rng) for _ in range(4000)]
        texts = [text(v, rng) for v in values]
        for v, t, cbor in zip(values, texts,
                              self.ask('J ' + t for t in texts)):
            got = cbor2.loads(bytes.fromhex(cbor))
            self.assertEqual(typed(got), typed(v), t)

    def test_each_item_is_as_short_as_it_can_be(self):
        # RFC 8949, 4.2.1; keys would be sorted there, so there are none
        rng = random.Random(421)
        values = [value(rng, 0) for _ in range(6000)]
        values += [[v] * n for n, v in enumerate(values[:40])
                   if not isinstance(v, float)]
        for v, cbor in zip(values,
                           self.ask('J ' + text(v, rng) for v in values)):
            self.assertEqual(cbor, shortest(v).hex(), v)

    def test_messages_in_cbor_are_the_same_values_in_json(self):
        rng = random.Random(7396)
        values = [value(rng) for _ in range(4000)]
        for canonical in False, True:
            questions = ['C ' + cbor2.dumps(v, canonical=canonical).hex()
                         for v in values]
            for v, t in zip(values, self.ask(questions)):
                if any(isinstance(x, int) and not -2**64 <= x < 2**64
                       for x in flat(v)):
                    self.assertEqual(t, '! has a tag')
                    continue
                # 1.0 is 1 in JSON from here, as in JavaScript
                got = json.loads(t, parse_int=lambda d:
                                 -0.0 if d == '-0' else int(d))
                self.assertEqual(whole(got), whole(v), t)

    def test_patches_make_the_next_state_of_the_one_before(self):
        rng = random.Random(73962)
        pairs = []
        for _ in range(4000):
            old = tree(rng, 3, rng.random() < 0.2)
            new = changed(rng, old) if rng.random() < 0.8 else tree(rng, 3)
            pairs.append((old, new))
        made = 0
        # a string that is written in another way is another one
        questions = ['D %s\t%s' % (text(o, rng, i % 3 == 0),
                                   text(n, rng, i % 3 == 0))
                     for i, (o, n) in enumerate(pairs)]
        for (old, new), q, patch in zip(pairs, questions,
                                        self.ask(questions)):
            self.assertEqual(patch != '!', possible(old, new), q)
            if patch == '!':
                continue
            made += 1
            before, after = map(exact, q[2:].split('\t'))
            self.assertEqual(merge(before, exact(patch)), after, q)
            if typed(old) == typed(new):
                self.assertEqual(patch, '{}')
        self.assertGreater(made, 1000)

    def test_recorded_replies_can_become_each_other(self):
        texts = [t for t in self.recorded() if not has_null(json.loads(t))]
        questions = ['D %s\t%s' % (a.strip(), b.strip())
                     for a in texts for b in texts]
        for q, patch in zip(questions, self.ask(questions)):
            before, after = map(exact, q[2:].split('\t'))
            self.assertEqual(merge(before, exact(patch)), after, q)


def flat(v):
    if isinstance(v, dict):
        v = list(v.values())
    if isinstance(v, list):
        for x in v:
            yield from flat(x)
    else:
        yield v


def whole(v):
    if isinstance(v, dict):
        return {k: whole(x) for k, x in v.items()}
    if isinstance(v, list):
        return [whole(x) for x in v]
    if isinstance(v, bool) or v is None or isinstance(v, str):
        return v
    if isinstance(v, float) and math.copysign(1, v) < 0 and v == 0:
        return ('number', '-0')
    return ('number', int(v) if v == int(v) else v)


if __name__ == '__main__':
    unittest.main()
