#!/usr/bin/perl

# What jq programs do over time: what they see, their state, the parameters of
# calls, calls that fail. If this fails, a stream that somebody wrote in
# nginx.conf shows wrong numbers, or one failing call blanks what the others
# supply. Programs by their results are in t/50-shaping.t.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $big = '18446744073709551615';

my $t = Blockcast::Test->new(node => { rate_limit => 1000000 },
    start => 0, http => <<'EOF', server => <<'EOS');
    blockcast_zone main 32m;
    blockcast_stream plain {
        blockcast_interval 100ms;
        blockcast_call c x.plain;
    }
    blockcast_stream input {
        blockcast_interval 100ms;
        blockcast_call good x.good;
        blockcast_call bad x.bad;
        blockcast_call second x.missing fallback=x.also.missing fallback=x.third;
        blockcast_jq '.results.good.n as $n | {keys: keys, results, errors, methods,
            previous: (.previous | if . == null then null else .n end), state, last,
            late: (now - .time | fabs < 30), n: $n}';
    }
    blockcast_stream stateful {
        blockcast_interval 100ms;
        blockcast_call c x.counter;
        blockcast_jq '{v: .results.c, before: (.state // 0)}, ((.state // 0) + 1)';
    }
    blockcast_stream hidden_state {
        blockcast_interval 100ms;
        blockcast_call c x.counter;
        blockcast_jq '(.results.c % 1000), (.state // 0) + 1';
    }
    blockcast_stream strict {
        blockcast_interval 100ms;
        blockcast_stale 500ms;
        blockcast_call c x.strict;
        blockcast_jq 'if .results.c > 5 then error("more than 5: \(.results.c)") else .results.c end';
    }
    blockcast_stream bigkeys {
        blockcast_interval 100ms;
        blockcast_call c x.bigkeys;
        blockcast_jq '{rows: .results.c}';
        blockcast_log rows key=id;
    }
    log_format body escape=none '$request_body';
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%PREFIX%%/body.log body;
        location / { proxy_pass http://%%NODE%%; proxy_set_header Host localhost; }
    }
    blockcast_stream chain {
        blockcast_node logged;
        blockcast_interval 100ms;
        blockcast_call head x.head;
        blockcast_call block x.block 'params_jq={height: .results.head, before: .previous.head}';
        blockcast_call more x.more 'params_jq=if .results.head > 10 then [.results.block] else null end';
        blockcast_call none x.none 'params_jq=empty';
        blockcast_call oops x.oops 'params_jq=error("no params for \(.results.head)")';
        blockcast_jq '{head: .results.head, results, errors}';
    }
    blockcast_stream each {
        blockcast_interval 100ms;
        blockcast_call list x.list;
        blockcast_call item x.item each=4 'params_jq=.results.list[] | {n: .}';
        blockcast_jq '{items: .results.item, errors, has: (.results | has("item"))}';
    }
    blockcast_stream params {
        blockcast_interval 100ms;
        blockcast_call list x.list;
        blockcast_call text x.text 'params_jq="text"';
        blockcast_call some x.some each=9 'params_jq=.results.list[] | if . > 2 then [.] else null end';
        blockcast_call odd x.odd each=9 'params_jq=.results.list[]';
        blockcast_jq '{some: .results.some, errors: (.errors | map_values(.message))}';
    }
    blockcast_stream much_state {
        blockcast_interval 100ms;
        blockcast_call c x.counter;
        blockcast_jq '[.results.c, (.state | length)], ("s" * .results.c)';
    }
    blockcast_stream shared_a {
        blockcast_interval 200ms;
        blockcast_call c x.shared 'params={"a":1}';
    }
    blockcast_stream shared_b {
        blockcast_interval 200ms;
        blockcast_call other x.shared 'params={"a":1}';
        blockcast_call differs x.shared 'params={"a":2}';
        blockcast_jq '{same: .results.other, differs: .results.differs}';
    }
    blockcast_stream lib {
        blockcast_interval 100ms;
        blockcast_call c x.good;
        blockcast_jq_file lib-user.jq;
    }
EOF
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_logged { blockcast_node logged; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS

for my $f (['lib-user.jq', qq(# a comment\ninclude "lib";\n\n{n: (.results.c.n | double)}\n)],
    ['lib.jq', "def double: . * 2;\n"])
{
    open my $fh, '>', $t->prefix . "/$f->[0]" or die;
    print $fh $f->[1];
    close $fh;
}

# the params of the newest request for a method, as they were sent

sub last_params {
    my ($m) = @_;

    $t->data('chain');                      # which has it polled
    open my $fh, '<', $t->prefix . '/body.log' or return '';
    my @p = map { /"method":"x\.$m".*?"params":(.*)\}\s*\z/ ? $1 : () } <$fh>;
    return $p[-1] // '';
}

$t->start;


subtest 'white space of all kinds, byte for byte' => sub {
    $t->set(plain => qq({\n\t"a": 1,\r\n  "b":\t2\n}));
    $t->becomes('plain', qq({\n\t"a": 1,\r\n  "b":\t2\n}), 'byte for byte: white space of all kinds');
};


# What a program sees. If this fails, programs that were written after the
# README do not work.

subtest 'what a program sees' => sub {
    $t->set(good => '{"n":1}');
    $t->set(third => '"3"');
    $t->becomes('input', '{"keys":["errors","last","methods","previous","results","state","time"],'
        . '"results":{"good":{"n":1},"second":"3"},'
        . '"errors":{"bad":{"code":-32601,"message":"method not found"}},'
        . '"methods":{"good":"x.good","second":"x.third"},'
        . '"previous":1,"state":null,"last":null,"late":true,"n":1}',
        'results, errors, methods, previous, state, last, time; the failure of a call is its own');
    $t->set(good => '{"n":2}');
    ok(wait_for(sub { $t->data('input') =~ /"previous":2,.*"n":2/ }), 'previous is the data published before');

    $t->fault('bad', 'error', code => -32123, message => 'not "today"');
    $t->fault('good', 'drop');
    ok(wait_for(sub { $t->data('input') =~ /"results":\{"second":"3"\}/ }), 'a call that fails is missing in results');
    like($t->data('input'), qr/"good":\{"code":null,"message":"the node closed the connection without a reply"\}/,
        'and in errors, with a message');
    is($t->row('input')->{state}, 'live', 'the stream lives on the others');
    $t->heal();

    $t->becomes('lib', '{"n":4}', 'a program from a file that includes a library');
};


# State. If this fails, programs that count or average begin anew each time,
# or what they keep is sent to everybody.

subtest 'state' => sub {
    $t->set(counter => 7);
    my ($before, $now);
    ok(wait_for(sub { $t->data('stateful') =~ /^\{"v":7,"before":(\d+)\}$/ && ($before = $1) }),
        'a second output is the state of the next poll');
    ok(wait_for(sub { $t->data('stateful') =~ /"before":(\d+)/ && ($now = $1) > 5 && $now > $before }), 'and goes on');
    cmp_ok($now, '<=', $t->asked('counter'), 'by one with each poll');
    $t->becomes('hidden_state', '7', 'the state is not in the data');
    my $seq = $t->row('hidden_state')->{seq};
    sleep 0.4;
    $t->data('hidden_state');
    is($t->row('hidden_state')->{seq}, $seq, 'and a change of it alone is no new data');


    $t->set(counter => 16382);
    $t->becomes('much_state', '[16382,16382]', 'a state of 16 KiB');
    $t->set(counter => 16383);
    $t->fails('much_state', qr/state.*16385.*16384|16385.*state/, undef, 'and one byte more: an error with both numbers');
};


# Programs that fail. If this fails, one odd reply of the node blanks a page,
# or nobody learns of it.

subtest 'programs that fail' => sub {
    $t->set(strict => 3);
    $t->becomes('strict', '3', 'a program that is content');
    $t->set(strict => 9);
    $t->fails('strict', qr/\Amore than 5: 9\z/, '3', 'error("...") fails the poll with its text');
    ok($t->wait_log(qr/\[error\].*poll of stream "strict" failed: more than 5: 9/), 'which is in the log');
    ok(wait_for(sub { $t->data("strict"); $t->row('strict')->{state} eq 'stale' }), 'and the stream becomes stale');
    $t->set(strict => 4);
    $t->becomes('strict', '4', 'until the program is content again');
    is($t->row('strict')->{error}, undef, 'then the error is gone');
    ok($t->wait_log(qr/stream "strict" is polled well again/), 'and the log says so');

    $t->set(strict => 9);
    $t->fails('strict', qr/more than 5/, '4', 'and again');
};


subtest 'large keys of a log' => sub {
    $t->set(bigkeys => qq([{"id":$big,"v":1},{"id":18446744073709551614},{"id":$big,"v":2}]));
    $t->becomes('bigkeys', qq({"rows":[{"id":$big,"v":1},{"id":18446744073709551614}],"count":2}),
        'large keys that differ in the last digit are two');
    $t->set(bigkeys => qq([{"id":18446744073709551614},{"id":"18446744073709551614"}]));
    $t->becomes('bigkeys', qq({"rows":[{"id":$big,"v":1},{"id":18446744073709551614},{"id":"18446744073709551614"}],"count":3}),
        'and a string is another key than a number');
};


# params_jq. If this fails, "what is new since the last one" cannot be asked.

subtest 'params_jq' => sub {
    $t->set(head => 5);
    $t->set(block => '"b5"');
    $t->set(more => '"m"');
    $t->set(oops => '"never"');
    $t->set(none => '"never"');
    $t->becomes('chain', '{"head":5,"results":{"head":5,"block":"b5"},'
        . '"errors":{"oops":{"code":null,"message":"params: no params for 5"}}}',
        'null and empty: not called; an error in the params is that call\'s own');
    ok(wait_for(sub { last_params('block') eq '{"height":5,"before":5}' }),
        'params from results and from the previous data') or diag(last_params('block'));

    my $stats = $t->node(GET => '/control/stats')->{by_method};
    ok(!$stats->{'x.none'} && !$stats->{'x.oops'} && !$stats->{'x.more'}, 'those were not asked');

    $t->set(head => 11);
    ok(wait_for(sub { $t->data('chain') =~ /"more":"m"/ }), 'when there are params it is called');
    is(last_params('more'), '["b5"]', 'with the result of a call that had params of its own');

    $t->set(head => $big);
    ok(wait_for(sub { last_params('block') =~ /"height":18446744073709551615/ }),
        'large integers in params') or diag(last_params('block'));

    $t->fault('head', 'drop');
    ok(wait_for(sub { last_params('block') =~ /"height":null/ }), 'when the call before fails, it sees that');
    $t->heal();
};


# each=. If this fails, items are mixed up, or one bad item loses all.

subtest 'each=' => sub {
    $t->set(item => '"i"');
    $t->set(list => '[]');
    $t->becomes('each', '{"items":null,"errors":{},"has":false}', 'no output: not called');
    $t->set(list => '[3,1,2]');
    $t->becomes('each', '{"items":["i","i","i"],"errors":{},"has":true}', 'one call for each output');
    my @recent = map { $_->{params}{n} } grep { $_->{method} eq 'x.item' }
        @{ $t->node(GET => '/control/stats')->{recent} };
    is("@recent[-3 .. -1]", '3 1 2', 'in order');

    $t->set(list => '[1,2,3,4,5,6]');
    $t->becomes('each', '{"items":["i","i","i","i"],"errors":{},"has":true}', 'no more than N');

    # answers that come in another order than the questions

    $t->set(list => '[1,2,3]');
    $t->set(item => '"late"');
    $t->fault('item', 'slow', ms => 60, count => 1) for 1 .. 3;
    $t->becomes('each', '{"items":["late","late","late"],"errors":{},"has":true}', 'slow ones');

    # an error in the middle: what was before it is kept, and the error is told

    $t->fault('item', 'other_type', result => 'first', count => 1);
    $t->fault('item', 'error', message => 'gone', count => 1);
    my $seen;
    ok(wait_for(sub { ($seen = $t->data('each')) =~ /"errors":\{"item"/ }), 'an error in the middle');
    like($seen, qr/\A\{"items":(?:\["first"\]|null|\["late"(?:,"late")?\]),"errors":\{"item":\{"code":-32000,"message":"gone"\}\},/,
        'the results before it, and the error');
    $t->heal();
    $t->becomes('each', '{"items":["late","late","late"],"errors":{},"has":true}', 'and all again');
};


# What are no params. If this fails, the node is sent what is no JSON-RPC.

subtest 'what are no params' => sub {
    $t->set(some => '"s"');
    $t->set(text => '"never"');
    $t->set(list => '[1,3,2,4]');
    $t->becomes('params', '{"some":["s","s"],"errors":{'
        . '"text":"params: the program must put out objects or arrays",'
        . '"odd":"params: the program must put out objects or arrays"}}',
        'null of several outputs: not asked; text and numbers: an error of that call');
    ok(!grep({ $_->{method} =~ /^x\.(?:text|odd)$/ } @{ $t->node(GET => '/control/stats')->{recent} }),
        'those were not asked');
};


# Shared calls. If this fails, the node is asked the same thing once for each
# stream, and bans us.

subtest 'shared calls' => sub {
    $t->set(shared => '"s"');
    my $ws = $t->ws('/ws');
    $ws->subscribe($_) for 'shared_a', 'shared_b';
    $ws->recv_type($_) for 'shared_a', 'shared_b';
    $t->node(POST => '/control/stats', {});
    my %by;

    ok(wait_for(sub {
        %by = ();
        $by{$Blockcast::Test::JSON->encode($_->{params})}++
            for grep { $_->{method} eq 'x.shared' } @{ $t->node(GET => '/control/stats')->{recent} };
        ($by{'{"a":2}'} // 0) >= 8;
    }, 20), 'other params are another call');
    ok($by{'{"a":1}'} >= 4 && $by{'{"a":1}'} <= 1.5 * $by{'{"a":2}'},
        'two streams, the same call: made as often as that of one')
        or diag(explain(\%by));
    is($t->data('shared_a'), '"s"', 'and both have');
    is($t->data('shared_b'), '{"same":"s","differs":"s"}', 'the result');
    $ws->drop;
};


unlike($t->error_log, qr/\xee\x80|bc_int/, 'nothing of the inside is in the log');

$t->stop;

done_testing();
