#!/usr/bin/perl

# Programs that misbehave, and the processes that run them. If this fails, one
# program that somebody wrote in nginx.conf stops all streams and every client,
# or a reload or a crash leaves processes behind.

use strict;
use warnings;
no warnings 'portable';

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::RawNode;
use Blockcast::Test;

# the name of a stream, its program, and the error that it is to have

my $time = qr/\Athe jq program was stopped after 400 ms, blockcast_jq_timeout\z/;
my $memory = qr/\Athe jq program was stopped, it needs more than 33554432 bytes, blockcast_jq_memory\z/;

my @wrong = (
    [loop => 'def f: f; f', $time],
    [silent => 'repeat(1) | empty', $time],
    [grow => '[repeat(1)]', qr/$time|$memory/],
    [hog => '[range(4000000)] | length', $memory, '20s'],
    [deep => 'def f: [f]; f', qr/$time|$memory|\Athe jq program crashed/],
    [nested => 'reduce range(300000) as $i (null; [.])',
        qr/$time|$memory|\Athe jq program crashed|\Aoutput 1 of the jq program is nested too deeply/],
    [input => 'input', qr/\A(?:break, there is nothing for "input" to read|No more inputs)\z/],
    [inputs => '[inputs] | error("none: \(length)")', qr/\Anone: 0\z/],
    [halt => 'halt', qr/\Athe jq program has no output\z/],
    [halt_error => '"over" | halt_error', qr/\Athe program ended with halt_error\z/],
    [error_null => 'error(null)', qr/\A(?:the jq program has no output|null \(null\) not a string|null)\z/],
    [params => undef, qr/\Aparams: the jq program was stopped after 400 ms, blockcast_jq_timeout\z/],
);

my $streams = join "\n", map { <<"EOC" } grep { defined $_->[1] } @wrong;
    blockcast_stream $_->[0] {
        blockcast_interval 200ms;
        blockcast_jq_timeout @{[$_->[3] // '400ms']};
        blockcast_jq_memory 32m;
        blockcast_call c x.good;
        blockcast_jq '$_->[1]';
    }
EOC

my $ahead = join "\n", map { <<"EOC" } 0 .. 9;
    blockcast_stream ahead$_ {
        blockcast_interval 100ms;
        blockcast_jq_timeout 3s;
        blockcast_call c x.ahead;
        blockcast_jq 'if .results.c == 3 and $_ == 3 then def f: f; f else {n: .results.c} end';
    }
EOC

my $raw = Blockcast::RawNode->new;

local $ENV{BLOCKCAST_SECRET} = 'not for programs';

my $t = Blockcast::Test->new(workers => 2, node => { rate_limit => 1000000 },
    start => 0, http => $streams . (<<'EOF' =~ s/%%AHEAD%%/$ahead/r), server => <<"EOS");
    blockcast_zone main 128m;
    blockcast_jq_timeout 30s;
    blockcast_stream params {
        blockcast_interval 200ms;
        blockcast_jq_timeout 400ms;
        blockcast_call c x.good 'params_jq=def f: f; f';
        blockcast_call d x.good;
        blockcast_jq '.errors.c.message | error';
    }
    blockcast_stream assertion {
        blockcast_interval 200ms;
        blockcast_call c x.good;
        blockcast_jq '[1e300 | todate]';
    }
    blockcast_stream good {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.good;
        blockcast_jq '{n: .results.c, time}';
    }
    blockcast_stream halted {
        blockcast_interval 100ms;
        blockcast_call c x.good;
        blockcast_jq '{n: .results.c}, halt';
    }
    blockcast_stream env {
        blockcast_interval 100ms;
        blockcast_call c x.good;
        blockcast_jq '[env, $ENV] | map(del(.TZ))';
    }
    blockcast_stream chatty {
        blockcast_interval 10s;
        blockcast_call c x.good;
        blockcast_jq '.results.c | last(range(1000) | debug)';
    }
    blockcast_stream switch {
        blockcast_interval 100ms;
        blockcast_jq_timeout 400ms;
        blockcast_call c x.switch;
        blockcast_jq 'if .results.c == 5 then def f: f; f else .results.c end';
    }
    blockcast_stream slow {
        blockcast_interval 100ms;
        blockcast_call c x.slow;
        blockcast_jq 'if .results.c then last(range(300000000)) else "quick" end';
    }
    %%AHEAD%%
    blockcast_stream large {
        blockcast_node raw;
        blockcast_interval 100ms;
        blockcast_max_size 16m;
        blockcast_call c large;
        blockcast_jq '{a: .results.c, b: (.results.c | length)}';
    }
EOF
    location /api/ { blockcast_api; }
    location = /metrics { blockcast_metrics; }
    location = /ws { blockcast_websocket; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_raw { blockcast_node raw max_reply=32m; proxy_pass http://127.0.0.1:$raw->{port}/; }
EOS

sub set { $t->node(POST => '/control/set', qq({"method":"x.$_[0]","result":$_[1]})) }
sub get { $t->get("/api/streams/$_[0]") }

sub data {
    my $r = get($_[0]);
    return $r->{body} =~ /\A\{"type":"[^"]*","data":(.*),"timestamp":\d+,"seq":\d+,"epoch":\d+\}\z/s ? $1
        : $r->{body};
}

# the error of a stream, which is then polled for a while

sub message {
    my ($n) = @_;

    get($n);
    my ($row) = grep { $_->{name} eq $n } @{ $t->get_json('/api/streams')->{streams} };
    return $row->{error} // '';
}

# processes by their name in ps

sub named {
    my ($re) = @_;

    return grep { Blockcast::Test::_title($_) =~ $re } $t->processes;
}

sub helpers { named(qr/^nginx: blockcast jq *$/) }
sub spawners { named(qr/^nginx: blockcast jq spawner/) }
sub slurp { Blockcast::Test::slurp($_[0]) }

sub metric {
    my ($m) = @_;

    return $t->get('/metrics')->{body} =~ /^blockcast_\Q$m\E (\S+)$/m ? $1 : -1;
}

set(good => 1);
set(switch => 1);
set(slow => 'false');
set(ahead => 1);
$raw->set('large' => '"x"');
$t->start;

ok(wait_for(sub { data('good') =~ /"n":1/ }), 'a stream is shaped');
ok(wait_for(sub { (my @s = spawners()) == 2 }), 'a spawner for each worker');
is(scalar(my @h = helpers()), 1, 'and a helper in the one that polls');


# What a helper has of nginx's. If this fails, a program's process holds a
# port after nginx has gone, or shows its secrets.

my ($helper) = helpers();

for my $pid ($helper, spawners()) {
    my %fd = map { m{/(\d+)$} ? ($1 => readlink) : () } glob "/proc/$pid/fd/*";
    is(join(' ', map { "$_=" . ($fd{$_} =~ s/:.*//r) } sort keys %fd),
        $pid == $helper ? '0=pipe 1=/dev/null 2=/dev/null 3=pipe' : '0=socket 1=/dev/null 2=/dev/null',
        'a process has its way to the worker and nothing else');
    like(slurp("/proc/$pid/status"), qr/^NoNewPrivs:\s*1$/m, 'it gets no new privileges');
    is(join(' ', grep { $_ > 65536 } map { /^(\w+)-(\w+) rw-s/ ? hex($2) - hex($1) : () }
        split /\n/, slurp("/proc/$pid/maps")), '', 'the zone is not mapped there');

    my ($pss) = slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s*(\d+)/m;
    ok($ENV{BLOCKCAST_SANITIZE} || $pss < 4096, 'less than 4 MB') or diag("$pss kB");
}

SKIP: {
    skip 'no filter with sanitizers', 1 if $ENV{BLOCKCAST_SANITIZE};
    like(slurp("/proc/$helper/status"), qr/^Seccomp:\s*2$/m, 'system calls are filtered');
}

ok(wait_for(sub { data('env') eq '[{},{}]' }), 'the environment is empty') or diag(data('env'));
ok(wait_for(sub { data('halted') eq '{"n":1}' }), 'outputs before "halt" count') or diag(data('halted'));


# Bounds. If this fails, a program that never ends stops all streams, or the
# operator does not learn which one it was.

# the sanitizers' memory cannot be bounded

for my $w (grep { $_->[0] ne 'hog' || !$ENV{BLOCKCAST_SANITIZE} } @wrong) {
    my ($name, undef, $re) = @$w;
    my $got = '';

    ok(wait_for(sub { ($got = message($name)) =~ $re }, 30), "$name: $re") or diag($got);
    ok(wait_for(sub { $t->error_log =~ /poll of stream "$name" failed: / }), 'the log names the stream');
}

ok(wait_for(sub { message('assertion') =~ /\Athe jq program crashed: .*Assertion|\A(?:strftime|gmtime|todate|error)/
            || data('assertion') =~ /\A\["/ }, 30), 'a failed assertion of libjq ends the helper alone')
    or diag(message('assertion'), data('assertion'));

ok(wait_for(sub { data('switch') eq '1' }), 'a program that ends');
set(switch => 5);
ok(wait_for(sub { message('switch') =~ /stopped after 400 ms/ }), 'and then does not');
is(data('switch'), '1', 'the last good data stays');
set(switch => 7);
ok(wait_for(sub { data('switch') eq '7' }), 'and is replaced when it ends again');

get('chatty');
ok(wait_for(sub { $t->error_log =~ /jq debug: \(more lines of this run are left out\)/ }),
    'a program does not fill the log');
is(scalar(() = $t->error_log =~ /jq debug: \d+$/mg), 100, 'with more than 100 lines a run');


# A program that takes long. If this fails, it holds up the other streams.

set(slow => 'true');
ok(wait_for(sub { get('slow'); (my @h = helpers()) > 1 }), 'it gets a helper of its own');
my $polls = metric('polls_total{stream="good"}');
ok(wait_for(sub { metric('polls_total{stream="good"}') >= $polls + 10 }), 'the others go on');

# SIGKILL of any helper, at any moment

for my $n (1 .. 10) {
    get('slow');
    kill 'KILL', helpers();
    sleep 0.05 * $n;
}

set(slow => 'false');
ok(wait_for(sub { data('slow') eq '"quick"' || (kill('KILL', helpers()), 0)[1] }), 'and goes on')
    or diag(message('slow'));
like($t->error_log, qr/poll of stream "slow" failed: the process of the jq program was killed/, 'it is told');
ok(metric('jq_restarts_total{cause="killed"}') > 0, 'counted as killed');
ok(metric('jq_restarts_total{cause="time"}') > 0, 'those out of time are counted');
ok($ENV{BLOCKCAST_SANITIZE} || metric('jq_restarts_total{cause="memory"}') > 0, 'and those out of memory');
ok(metric('jq_seconds_bucket{stream="good",le="+Inf"}') > 0, 'the time in programs');


# Requests that were sent ahead. If this fails, one program that does not end
# has those of other streams fail, or lost.

my @many = map { "ahead$_" } 0 .. 9;
get($_) for @many;
ok(wait_for(sub { !grep { data($_) !~ /^\{"n":1\}/ } @many }), 'ten streams of one interval');
my %failed = map { $_ => metric(qq(polls_failed_total{stream="$_"})) } @many;

set(ahead => 3);
ok(wait_for(sub { get($_) for @many; message('ahead3') =~ /stopped after 3000 ms/ }, 30), 'one of them does not end')
    or diag(message('ahead3'));
set(ahead => 4);
ok(wait_for(sub { !grep { data($_) ne '{"n":4}' } @many }, 30), 'and then all go on');
is(join(' ', grep { $_ ne 'ahead3' && metric(qq(polls_failed_total{stream="$_"})) != $failed{$_} } @many), '',
    'of the others no poll has failed');

kill 'KILL', spawners();
set(good => 2);
ok(wait_for(sub { data('good') =~ /"n":2/ }), 'without its spawner a worker makes another');
ok(wait_for(sub { (my @h = helpers()) >= 1 }), 'that starts helpers');


# Large replies, in pieces.

$raw->set('large' => '"' . 'x' x 7000000 . '"');
ok(wait_for(sub { data('large') =~ /"b":7000000/ }, 60), 'a reply of 7 MB') or diag(message('large'));
$raw->set('large' => '"x"');


# No leftovers. If this fails, processes pile up, or hold a port.

my %old = map { $_ => 1 } helpers(), spawners();
$t->reload;
ok(wait_for(sub { !grep { $old{$_} } $t->processes }, 30), 'after a reload those of the old workers are gone');
set(good => 3);
ok(wait_for(sub { data('good') =~ /"n":3/ }), 'the new ones have their own');

%old = map { $_ => 1 } helpers(), spawners();
my @workers = $t->worker_pids;
kill 'KILL', @workers;
ok(wait_for(sub { !grep { $old{$_} } $t->processes }, 30), 'no helper outlives its worker');
ok(wait_for(sub { (my @w = $t->worker_pids) == 2 && (my @s = spawners()) == 2 }), 'the new workers have theirs');
set(good => 4);
ok(wait_for(sub { data('good') =~ /"n":4/ }), 'and go on');
$t->allow(qr/worker process \d+ exited on signal 9/);

my %ours = map { $_ => 1 } $t->processes;
my @zombies = grep { slurp("/proc/$_/stat") =~ /^\d+ \(nginx\) Z (\d+)/ && $ours{$1} }
    map { m{/(\d+)$} } glob '/proc/[0-9]*';
is("@zombies", '', 'no zombies');

unlike($t->error_log, qr/unknown process/, 'nginx was not told of processes it does not know');


# The master is killed. If this fails, what it had started stays for ever.

my $other = Blockcast::Test->new(workers => 2, node => {}, start => 0, http => <<'EOF', server => <<'EOS');
    blockcast_zone main 8m;
    blockcast_stream good { blockcast_interval 100ms; blockcast_always on; blockcast_call c x.good; blockcast_jq '.results.c'; }
    blockcast_stream endless { blockcast_interval 100ms; blockcast_jq_timeout 60s; blockcast_always on;
        blockcast_call c x.good; blockcast_jq 'def f: f; f'; }
EOF
    location /api/ { blockcast_api; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
EOS

$other->node(POST => '/control/set', '{"method":"x.good","result":1}');
$other->start;
ok(wait_for(sub { $other->get('/api/streams/good')->{body} =~ /"data":1/ }), 'another nginx, with a program that does not end');

my %title = map { $_ => Blockcast::Test::_title($_) } $other->processes;
my @jq = grep { $title{$_} =~ /blockcast jq/ } keys %title;
my @others = grep { $title{$_} =~ /worker process/ } keys %title;
my $alive = sub { -e "/proc/$_[0]/exe" && slurp("/proc/$_[0]/stat") !~ /\) Z / };
cmp_ok(scalar @jq, '>=', 3, 'two spawners, and helpers');
kill 'KILL', $other->master_pid;

# nginx's own workers stay, with the listening socket; and so do their helpers
kill 'KILL', @others;
ok(wait_for(sub { !grep { $alive->($_) } @jq }, 30), 'without master and workers no helper is left');
$other->allow(qr/./);
$other->stop;

$t->stop;
$raw->stop;
done_testing();
