#!/usr/bin/perl

# Batches of calls. If this fails, a call gets another one's answer or none, or
# a node gets more in one request than it takes.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Blockcast::Dialects;
use Blockcast::Test;

my $node = Blockcast::Dialects->new;
my $origin = "127.0.0.1:$node->{port}";

my $t = Blockcast::Test->new(workers => 2, start => 0, node => { rate_limit => 1000000 }, http => <<'EOS', server => <<"EOS2");
    blockcast_zone main 32m;
    blockcast_stream each {
        blockcast_node two; blockcast_interval 300ms; blockcast_always on;
        blockcast_call c d.ok 'params_jq=range(25) | [.]' each=25 timeout=10s;
        blockcast_jq .results.c;
    }
    blockcast_stream some {
        blockcast_node two; blockcast_interval 300ms; blockcast_always on;
        blockcast_call a d.ok  params=["a"] timeout=10s;
        blockcast_call b d.err params=["b"] timeout=10s;
        blockcast_call c d.ok  timeout=10s;
        blockcast_call d d.ok  'params={"d":"\\n"}' timeout=10s;
        blockcast_call e d.ok  'params_jq=[.results.a[0], .results.d.d]' timeout=10s;
        blockcast_jq '[.results.a, .errors.b.message, .results.c, .results.d, .results.e]';
    }
    blockcast_stream one {
        blockcast_node alone; blockcast_interval 300ms; blockcast_always on;
        blockcast_call c d.ok params=[1] timeout=10s;
    }
    blockcast_stream large {
        blockcast_node large; blockcast_interval 300ms; blockcast_always on;
        blockcast_call a d.ok 'params_jq=["x" * 1500]' timeout=10s;
        blockcast_call b d.ok 'params_jq=["y" * 1500]' timeout=10s;
        blockcast_call f d.ok 'params_jq=range(5) | ["z" * 900, .]' each=5 timeout=10s;
        blockcast_jq '[(.results.a, .results.b)[0] | length] + [.results.f[][0] | length]';
    }
    blockcast_stream sim {
        blockcast_node sim; blockcast_interval 300ms; blockcast_always on;
        blockcast_call a x.a params=[1] timeout=500ms;
        blockcast_call b x.b params=[2] timeout=500ms;
        blockcast_jq '[.results.a, .results.b, .errors.a.message]';
    }
    blockcast_stream gone {
        blockcast_node gone; blockcast_interval 300ms; blockcast_always on;
        blockcast_call a x.a params=[1] timeout=500ms;
        blockcast_call b x.b params=[2] timeout=500ms;
        blockcast_jq '[.results.a, .results.b]';
    }
EOS
        location /api/ { blockcast_api; }
        location = /health { blockcast_health; }
        location = /n-two { blockcast_node two batch=10; proxy_pass http://$origin/two/; }
        location = /n-alone { blockcast_node alone batch=10; proxy_pass http://$origin/one/; }
        location = /n-large { blockcast_node large batch=10 max_reply=4k; proxy_pass http://$origin/strings/; }
        location = /n-sim { blockcast_node sim batch=10; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
        location = /n-gone { blockcast_node gone batch=10; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS2

my $decode = sub { JSON::PP::decode_json($_[0]) };

$t->set(a => 1);
$t->set(b => 2);
$t->start;

subtest 'many calls' => sub {
    $t->becomes(each => '[' . join(',', map { "[$_]" } 0 .. 24) . ']', 'each has its own answer, though the node begins with the last');

    my @batches = map { $decode->($_->[3]) } grep { $_->[3] =~ /^\[/ } $node->asked('two');
    ok(!(grep { @$_ > 10 } @batches), 'a batch is not larger than the node takes');
    ok((grep { @$_ == 10 } @batches) >= 2, 'nor smaller than it need be');

    my %seen;
    my @twice = grep { $seen{ $_->{id} }++ } map { @$_ } @batches;
    is(scalar @twice, 0, 'no id twice');
    is_deeply([grep { $_->{jsonrpc} ne '2.0' } map { @$_ } @batches], [], 'all are JSON-RPC 2.0');
};

subtest 'calls of all kinds' => sub {
    $t->becomes(some => '[["a"],"Loading block index...","none",{"d":"\n"},["a","\n"]]', 'beside each other');
};

subtest 'a single call' => sub {
    $t->becomes(one => '[1]', 'is answered');
    is(scalar(grep { $_->[3] =~ /^\[/ } $node->asked('one')), 0, 'and no batch');
};

subtest 'a reply that does not fit' => sub {
    $t->becomes(large => '[1500,1500,900,900,900,900,900]', 'the calls are made one by one then');
    like($t->error_log, qr/node "large" does not take a batch of calls, it gets them one by one: the reply is larger than max_reply=4096/, 'which is in the log');
};

subtest 'The Block' => sub {
    $t->becomes(sim => '[1,2,null]', 'a node that says "parse error" to a batch');
    is($t->asked('a') > 0, 1, 'is asked call by call');
    $t->fault(a => 'hang', ms => 60000);
    ok(wait_for(sub { my $d = $t->value('sim'); $d && ($d->[2] // '') =~ /no reply/ && $d->[1] == 2 }, 20), 'one that hangs does not hold back the other');
    $t->heal;
    $t->becomes(sim => '[1,2,null]', 'and it goes on');
};

subtest 'a node that is not there' => sub {
    my $row;
    ok(wait_for(sub { ($row = $t->row('gone'))->{error} }, 20), 'an error');
    like($row->{error}, qr/^x\.[ab]: the node cannot be reached/, 'of each call');
    ok(wait_for(sub { grep { $_->{name} eq 'gone' && $_->{state} eq 'down' } @{ $t->get_json('/health')->{nodes} } }, 20), 'it is down');
};

# in the middle of it

$t->reload for 1 .. 3;
$t->becomes(each => '[' . join(',', map { "[$_]" } 0 .. 24) . ']', 'after reloads');
kill 'KILL', ($t->worker_pids)[0];
my $polls = $t->row('each')->{polls};
ok(wait_for(sub { $t->row('each')->{polls} > $polls + 3 }, 30), 'and after a worker was killed');
$t->allow(qr/exited on signal 9/);

$t->stop;
done_testing();
