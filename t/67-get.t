#!/usr/bin/perl

# Documents: streams that are made of GETs. If this fails, the data of a REST
# service does not come, comes when it has not changed, or another address of
# the origin is asked than was meant.

use strict;
use warnings;

use Test::More;
use Blockcast::Dialects;
use Blockcast::Test;

my $node = Blockcast::Dialects->new;
my $origin = "127.0.0.1:$node->{port}";

$node->document(raw => " {\"price\": 1.10, \"n\": 18446744073709551615, \"e\": [1e400]}\r\n", '"v1"');
$node->document(weak => '{"n":1}', 'W/"1"');
$node->document(bare => '[1,2]');
$node->document(html => '<html>');
$node->document(big => '"' . ('x' x 100000) . '"', '"big"');
$node->document($_ => "{\"id\":$_}") for 1 .. 5;

my $t = Blockcast::Test->new(workers => 1, http => <<'EOS', server => <<"EOS2");
    blockcast_zone main 32m;
    blockcast_stream raw {
        blockcast_node rest; blockcast_interval 200ms; blockcast_always on; blockcast_max_size 1m;
        blockcast_get doc /doc/raw timeout=10s;
    }
    blockcast_stream weak {
        blockcast_node rest; blockcast_interval 200ms; blockcast_always on;
        blockcast_get doc /doc/weak timeout=10s;
        blockcast_jq .results.doc.n;
    }
    blockcast_stream mix {
        blockcast_node rest; blockcast_interval 300ms; blockcast_always on;
        blockcast_get bare /doc/bare timeout=10s;
        blockcast_get gone /doc/gone timeout=10s;
        blockcast_get else /doc/gone fallback=/doc/missing fallback=/doc/bare timeout=10s;
        blockcast_get html /doc/html timeout=10s;
        blockcast_get big  /doc/big timeout=10s;
        blockcast_call rpc d.ok params=[7] timeout=10s;
        blockcast_jq '{bare: .results.bare, gone: .errors.gone, html: .errors.html.message, else: .results.else,
                       big: (.results.big | length), rpc: .results.rpc}';
    }
    blockcast_stream each {
        blockcast_node rest; blockcast_interval 300ms; blockcast_always on;
        blockcast_get list /doc/bare timeout=10s;
        blockcast_get docs 'path_jq=.results.list[] | "/doc/\(.)"' each=5 timeout=10s;
        blockcast_get some 'path_jq=("/doc/1", "/doc/gone", "/doc/2")' each=5 timeout=10s;
        blockcast_get one  'path_jq="/doc/3"' timeout=10s;
        blockcast_get none 'path_jq=null' timeout=10s;
        blockcast_jq '{docs: .results.docs, some: .results.some, why: .errors.some.code, one: .results.one, none: .results.none}';
    }
    blockcast_stream echo {
        blockcast_node deep; blockcast_interval 300ms; blockcast_always on;
        blockcast_get a '/echo/a%20b?x=%2F&y=..' timeout=10s;
        blockcast_get b '/echo/%C3%A9' timeout=10s;
        blockcast_get c 'path_jq="/echo/../../n-rest/doc/raw"' timeout=10s;
        blockcast_get d 'path_jq="/echo/%2e%2e/%2e%2e/n-rest/doc/raw"' timeout=10s;
        blockcast_get e 'path_jq="http://127.0.0.1/"' timeout=10s;
        blockcast_get f 'path_jq=5' timeout=10s;
        blockcast_jq '{a: .results.a, b: .results.b.path, c: .errors.c.message, d: .errors.d.message, e: .errors.e.message,
                       f: .errors.f.message}';
    }
    blockcast_stream list {
        blockcast_node rest; blockcast_interval 300ms; blockcast_always on;
        blockcast_log docs key=id;
        blockcast_get docs 'path_jq=range(1; 6) | "/doc/\(.)"' each=5 timeout=10s;
        blockcast_jq '{docs: .results.docs}';
    }
EOS
        location /api/ { blockcast_api; }
        location = /health { blockcast_health; }
        location /n-rest/ { blockcast_node rest batch=10; proxy_pass http://$origin/rest/; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /n-deep { blockcast_node deep; proxy_pass http://$origin/deep/v1; }
EOS2

my $data;

subtest 'a document as it is' => sub {
    $t->becomes(raw => '{"price": 1.10, "n": 18446744073709551615, "e": [1e400]}', 'byte for byte');
    my $seq = $t->row('raw')->{seq};
    my $polls = $t->row('raw')->{polls};
    ok(wait_for(sub { $t->row('raw')->{polls} > $polls + 3 }, 20), 'is asked for again');
    is($t->row('raw')->{seq}, $seq, 'and does not come again');

    my @asked = grep { $_->[1] eq '/doc/raw' } $node->asked('rest');
    unlike($asked[0][2], qr/If-None-Match|Content-Type/i, 'the first has no tag to ask with');
    is(scalar(grep { $_->[2] =~ /^If-None-Match: "v1"\r$/m } @asked), @asked - 1, 'all others do');
    like($asked[0][2], qr/^Accept: application\/json\r$/m, 'JSON is asked for');

    $node->document(raw => '{"price":2}', '"v2"');
    $t->becomes(raw => '{"price":2}', 'a new one is');
    $node->document(raw => '{"price":3}', '"v2"');
    $polls = $t->row('raw')->{polls};
    ok(wait_for(sub { $t->row('raw')->{polls} > $polls + 2 }, 20), 'the same tag');
    is($t->data('raw'), '{"price":2}', 'is the same document, whatever the origin has');
    $node->document(raw => '{"price":4}');
    $t->becomes(raw => '{"price":4}', 'without a tag');
    $node->document(raw => '{"price":5}');
    $t->becomes(raw => '{"price":5}', 'it comes whole each time');
};

subtest 'a weak tag' => sub {
    $t->becomes(weak => '1', 'is as good');
    ok(wait_for(sub { grep { $_->[2] =~ /^If-None-Match: W\/"1"\r$/m } $node->asked('rest') }, 20), 'asked with');
    $node->document(weak => '{"n":2}', 'W/"2"');
    $t->becomes(weak => '2', 'until it changes');
};

subtest 'documents beside each other' => sub {
    ok(wait_for(sub { $data = $t->value('mix') }, 20), 'data') or return diag explain $t->row('mix');
    is_deeply($data->{bare}, [1, 2], 'a document');
    is_deeply($data->{gone}, { code => 404, message => 'HTTP 404: NOT_FOUND: no such document' },
        'one that is not there: the code is the status, the message the origin\'s') or diag explain $data->{gone};
    is_deeply($data->{else}, [1, 2], 'the path that it falls back to');
    like($data->{html}, qr/^bad reply: not JSON: .*HTML/, 'no JSON');
    is($data->{big}, 100000, 'a large one');
    is_deeply($data->{rpc}, [7], 'and a call through the same location');
};

subtest 'paths from a program' => sub {
    ok(wait_for(sub { $data = $t->value('each') }, 20), 'data') or return diag explain $t->row('each');
    is_deeply($data->{docs}, [{ id => 1 }, { id => 2 }], 'one for each');
    is_deeply($data->{some}, [{ id => 1 }], 'those before the first that fails');
    is($data->{why}, 404, 'and why');
    is_deeply($data->{one}, { id => 3 }, 'a single one');
    is($data->{none}, undef, 'null: none is asked for');
    $t->becomes(list => '{"docs":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}],"count":5}', 'and a log of them');
};

subtest 'what the origin is asked for' => sub {
    ok(wait_for(sub { $data = $t->value('echo') }, 20), 'data') or return diag explain $t->row('echo');
    is_deeply($data->{a}, { path => '/v1/echo/a%20b?x=%2F&y=..', accept => 'application/json' },
        'a path, and a query as it was written');
    is($data->{b}, '/v1/echo/%C3%A9', 'other characters');
    like($data->{c}, qr/must put out paths that begin with "\/"/, 'no way out of the location');
    like($data->{d}, qr/nginx refuses the path/, 'nor when it is written otherwise');
    like($data->{e}, qr/must put out paths/, 'no URL');
    like($data->{f}, qr/must put out paths: strings/, 'no number');
    ok(!(grep { $_->[1] =~ /\.\.\/|n-rest/ } $node->asked('deep')), 'nothing of that kind was asked for');
};

subtest 'an origin that does not have it lives' => sub {
    $node->document(raw => undef);
    ok(wait_for(sub { ($t->row('raw')->{error} // '') eq '/doc/raw: HTTP 404' }, 20), 'the error') or diag $t->row('raw')->{error};
    my $polls = $t->row('raw')->{polls};
    ok(wait_for(sub { $t->row('raw')->{polls} > $polls + 5 }, 20), 'is asked for on and on');
    my ($row) = grep { $_->{name} eq 'rest' } @{ $t->get_json('/health')->{nodes} };
    is($row->{state}, 'ok', 'the node is well');
    is($t->data('raw'), '{"price":5}', 'the last good document stays');
};

is($t->get('/n-rest/doc/raw')->{status}, 404, 'no client gets at the origin');

$t->stop;
done_testing();
