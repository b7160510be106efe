#!/usr/bin/perl

# conf/run is the first command a newcomer types. If this fails, it does not
# start, does not stop all that it started, accepts a wrong value without a
# word, or lets the node's token be seen.
#
# needs: web

use strict;
use warnings;

use Cwd ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Dialects;
use Blockcast::Test;

my $root = $Blockcast::Test::ROOT;
my $t = Blockcast::Test->new(start => 0);
my $prefix = $t->prefix;

my ($http, $ws) = (free_port(), free_port());

my %clean = (
    BLOCKCAST_STATE => "$prefix/state",
    BLOCKCAST_MODULE => Blockcast::Test::module_path(),
    BLOCKCAST_NGINX => Blockcast::Test::nginx_binary(),
    HTTP_HOST => '127.0.0.1', HTTP_PORT => $http,
    WS_HOST => '127.0.0.1', WS_PORT => $ws,
    BLOCKCAST_ASAN => Blockcast::Test::without_leaks($ENV{BLOCKCAST_ASAN}),
);

my $runs = 0;
my $log;


# Starts conf/run with these variables, and returns its pid; output in $log.

sub start {
    my (%env) = @_;

    local @ENV{keys %clean} = values %clean;
    local @ENV{keys %env} = values %env;

    $log = "$prefix/run-" . ++$runs . '.log';
    return $t->spawn($log, "$root/conf/run");
}


sub output { Blockcast::Test::slurp($log) }


# Waits for the end, and returns the exit code, or 'running'.

sub ended {
    my ($pid, $timeout) = @_;

    my $done = wait_for { waitpid($pid, POSIX::WNOHANG()) == $pid } $timeout // 20;
    return 'running' unless $done;
    return $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
}


sub running { my $re = $_[0] // qr/^  logs /m; wait_for { output() =~ $re } 30 }


# Wrong values: the name of the variable is in the sentence.

my @wrong = (
    [{ HTTP_PORT => 'abc' }, qr/HTTP_PORT=abc is not a port/],
    [{ HTTP_PORT => 0 }, qr/HTTP_PORT=0 is not a port/],
    [{ WS_PORT => 65536 }, qr/WS_PORT=65536 is not a port/],
    [{ WS_PORT => $http }, qr/HTTP_PORT and WS_PORT are both $http/],
    [{ HTTP_HOST => 'no such' }, qr/HTTP_HOST=no such is not a host/],
    [{ HTTP_HOST => '192.0.2.1' }, qr/192\.0\.2\.1:$http is not an address of this machine/],
    [{ WS_HOST => 'nowhere.invalid' }, qr/WS_HOST=nowhere.invalid: this host name cannot/],
    [{ BLOCKCAST_FRAME_ANCESTORS => 'https://a.example evil;' },
        qr/BLOCKCAST_FRAME_ANCESTORS=https:\/\/a\.example evil;: evil; is neither none nor self nor an origin/],
    [{ BLOCKCAST_FRAME_ANCESTORS => 'self none' }, qr/BLOCKCAST_FRAME_ANCESTORS=self none: none stands alone/],
    [{ BLOCKCAST_PRESET => 'dogecoin' }, qr/BLOCKCAST_PRESET=dogecoin is unknown: auto and bitcoin .*the-block are there/],
    [{ BLOCKCAST_PRESET => '../presets/none.conf' }, qr/BLOCKCAST_PRESET=\.\.\/presets\/none\.conf is not a file that can be read/],
    [{ BLOCKCAST_DASHBOARD => '/none/board.json' }, qr/BLOCKCAST_DASHBOARD=\/none\/board\.json is not a file that can be read/],
    [{ BLOCKCAST_PRESET => 'solana' }, qr/BLOCKCAST_PRESET=solana needs THEBLOCK_RPC_URL/],
    [{ BLOCKCAST_PRESET => 'ethereum' }, qr/BLOCKCAST_PRESET=ethereum needs THEBLOCK_RPC_URL/],
    [{ THEBLOCK_RPC_URL => 'localhost:9933' }, qr/THEBLOCK_RPC_URL=localhost:9933 is not a URL/],
    [{ THEBLOCK_RPC_URL => 'ws://localhost:9933' }, qr/THEBLOCK_RPC_URL=.*http:\/\/ or https:\/\//],
    [{ THEBLOCK_RPC_URL => 'http://localhost:99999' }, qr/THEBLOCK_RPC_URL=\S+ the port 99999 is not a port/],
    [{ THEBLOCK_RPC_URL => 'http://localhost:9933/a;b' }, qr/THEBLOCK_RPC_URL=.*is not a URL/],
    [{ THEBLOCK_RPC_URL => "http://localhost:9933/\nx" }, qr/THEBLOCK_RPC_URL=/],
    [{ THEBLOCK_RPC_URL => 'http://nowhere.invalid' }, qr/THEBLOCK_RPC_URL=.*nowhere\.invalid cannot be resolved/],
    [{ THEBLOCK_WS_URL => 'http://localhost:9944' }, qr/THEBLOCK_WS_URL=.*ws:\/\/ or wss:\/\//],
    [{ BLOCKCAST_STATE => '/proc/nowhere' }, qr/folder \/proc\/nowhere is not writable.*BLOCKCAST_STATE/],
    [{ BLOCKCAST_MODULE => '/no.so' }, qr/BLOCKCAST_MODULE=\/no\.so is not a file/],
);

for my $case (@wrong) {
    my ($env, $re) = @$case;
    my ($name) = %$env;
    my $code = ended(start(%$env));
    (my $value = "$name=$env->{$name}") =~ s/\n/\\n/g;
    ok($code eq 1 && output() =~ $re, "$value stops the start and is named")
        or diag("exit code $code\n" . output());
}

is(ended(start(THEBLOCK_RPC_URL => 'http://user:sek"ret@localhost')), 1,
    'a URL with a password that it cannot have is refused');
unlike(output(), qr/sek/, 'and the password is not printed');

is(ended(start(THEBLOCK_RPC_URL => 'http://user:sekret@localhost', THEBLOCK_AUTH_TOKEN => 'x')), 1,
    'a password and a token are refused');
unlike(output(), qr/sekret/, 'and the password is not printed');

is(ended(start(THEBLOCK_WS_URL => 'ws://user:sekret@localhost')), 1,
    'so is a password of the WebSocket');
unlike(output(), qr/sekret/, 'and the password is not printed');

is(ended(start(THEBLOCK_AUTH_TOKEN => 'sek"ret')), 1,
    'a token that cannot be one is refused');
ok(output() =~ /THEBLOCK_AUTH_TOKEN/ && output() !~ /sek"ret/,
    'by name, and it is not printed') or diag(output());

{
    my $other = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ws", Listen => 1)
        or die "listen: $!";

    is(ended(start()), 1, 'a port in use stops the start');
    like(output(), qr/WS_PORT=$ws: this port is in use/, 'and is named');
}


# What dpkg says of packages. If this fails, a start without a network ends in a
# try to install what is there, as after an apt that was broken off.

{
    mkdir "$prefix/bin" or die "bin: $!";
    open my $fh, '>', "$prefix/bin/dpkg-query" or die "dpkg-query: $!";
    print $fh <<'STUB';
#!/bin/sh
printf 'there=installed pending=triggers-pending awaited=triggers-awaited half=half-configured removed=config-files '
STUB
    close $fh;
    chmod 0755, "$prefix/bin/dpkg-query";

    is(`PATH=$prefix/bin:\$PATH bash -c '. $root/conf/lib.sh; bc_missing there pending awaited half removed never'`,
        "half\nremoved\nnever\n", 'a package that waits for a trigger is installed');
}


# No node named: a simulated one, and everything there is.

my $began = time;
my $pid = start();

ok(running(), 'starts') or diag(output());
cmp_ok(time - $began, '<', 10 * slow(), 'within seconds when nothing is to be built');

my $out = output();
like($out, qr{^  dashboard  http://127\.0\.0\.1:$http/$|http://localhost:$http/}m,
    'prints the address of the dashboard');
like($out, qr{node +http://127\.0\.0\.1:\d+ \(simulated}, 'and of the simulated node');
unlike($out, qr/@[A-Z_]+@/, 'and nothing else');
my $conf = Blockcast::Test::slurp("$prefix/state/nginx.conf");
unlike($conf, qr/@[A-Z_]+@/, 'every name in the template is filled in');
is(() = $conf =~ /^\s*listen .* reuseport;/mg, 2, 'each worker has a queue of its own for new clients');

my $ask = sub { my ($path, %o) = @_; $t->get($path, port => $http, %o) };

my $page = $ask->('/');
is($page->{status}, 200, 'the dashboard is served');
like($page->{body}, qr/<script/, 'and is the built one');
is($page->{headers}{'cache-control'}, 'no-cache', 'index.html is not cached');
like($page->{headers}{'content-security-policy'}, qr/default-src 'none'.*script-src 'self'/,
    'with a strict policy');
is($page->{headers}{'x-content-type-options'}, 'nosniff', 'nosniff');

my ($asset) = $page->{body} =~ m{"\./(assets/[^"]+\.js)"};
my $js = $ask->("/$asset", headers => { 'Accept-Encoding' => 'gzip' });
is($js->{status}, 200, 'its script is there');
like($js->{headers}{'cache-control'}, qr/immutable/, 'cached for ever');
is($js->{headers}{'content-encoding'}, 'gzip', 'and compressed before');
is($ask->('/assets/missing-1.js')->{status}, 404, 'a missing asset is 404');
is($ask->('/.vite/manifest.json')->{status}, 404, 'no hidden file is served');
is($ask->('/some')->{status}, 200, 'other paths are the dashboard\'s');
is($ask->('/some/page')->{status}, 302, '... a deeper one leads to it');
like($ask->('/some/page')->{head}, qr{^Location: http://[^/]+/\r?$}m, '... and its files');

like($ask->("/metrics")->{body}, qr/^blockcast_info\{/m, 'metrics for who is near');
is($ask->("/_node")->{status}, 404, 'the node cannot be reached from outside');

for my $at (["$http/ws", $http, '/ws'], ["$ws/", $ws, '/'], ["$ws/ws", $ws, '/ws']) {
    my $c = Blockcast::WebSocket->connect(port => $at->[1], path => $at->[2]);
    is($c->recv_json->{type}, 'welcome', "WebSocket at :$at->[0]");
    $c->send_json({ type => 'subscribe', stream => 'network_metrics' });
    ok($c->recv_type('network_metrics', 10), "data comes at :$at->[0]");
    is($t->get($at->[2], port => $at->[1])->{status}, 426,
        "plain HTTP at :$at->[0] is told to upgrade");
    $c->close(1000);
}

# an event stream does not end: its head and what comes at once is enough
for my $path ('/events?streams=network_metrics', '/events/network_metrics') {
    my $events = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$http") or die "connect: $!";
    my $text = '';
    $events->syswrite("GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for { sysread $events, $text, 65536, length $text; $text =~ /^data: \{"type":"network_metrics"/m } 20;
    like($text, qr{^HTTP/1\.1 200 .*^Content-Type: text/event-stream}ms, "$path is an event stream");
    like($text, qr/^data: \{"type":"network_metrics"/m, 'with data');
    is(() = $text =~ /^Cache-Control:/mg, 1, 'and one Cache-Control');
}

is($ask->('/events/nope')->{status}, 404, 'an unknown stream has none');

is($ask->('/api/health')->{status}, 200, 'healthy');
is($ask->('/health')->{status}, 200, 'at /health too');
is($ask->('/theblock/network/metrics')->{status}, 200, 'the REST path of network metrics');
like($ask->("/theblock/$_")->{status}, qr/^(200|503)$/, "the REST path /theblock/$_")
    for qw(markets/health receipts operations peers/list scheduler/stats);
is($ask->('/theblock/nonsense')->{status}, 404, 'an unknown REST path is 404');
is($ask->('/node-ws')->{status}, 200, '/node-ws is the dashboard\'s when no node WebSocket is named');

{
    local @ENV{keys %clean} = values %clean;
    is(system("$root/conf/run --health >/dev/null 2>&1"), 0, 'conf/run --health agrees');
}

is(ended(start(HTTP_PORT => free_port(), WS_PORT => free_port())), 1,
    'a second one with the same state is refused');
like(output(), qr/runs already with the state/, 'with a sentence');

unlike(Blockcast::Test::slurp("$prefix/state/logs/error.log"),
    qr/\[(alert|emerg|crit)\]/, 'nothing grave in the log');

kill 'INT', $pid;
is(ended($pid), 0, 'ends on Ctrl-C');
is_deeply([$t->processes], [], 'and with it all that it started');


# A node that is named: no simulated one, the preset by asking, and the token.

my $token = 'sekret-token_0123456789';

$t->start_node(dialect => 'real', token => $token);
$pid = start(THEBLOCK_RPC_URL => "http://localhost:$t->{node_port}",
    THEBLOCK_AUTH_TOKEN => $token, THEBLOCK_WS_URL => "ws://127.0.0.1:$t->{node_port}/x");

ok(running(), 'starts with a node') or diag(output());
like(output(), qr/preset +the-block$/m, 'the real node\'s preset is found');
unlike(output(), qr/simulated/, 'no simulated node');

my @seen = grep { Blockcast::Test::slurp("/proc/$_/cmdline") =~ /$token/ } $t->processes;
is_deeply([grep { $_ != $t->{node_pid} } @seen], [],
    'the token is in no process list (but that of the node itself)');
@seen = grep { Blockcast::Test::slurp("/proc/$_/environ") =~ /$token/ } $t->processes;
is_deeply(\@seen, [], 'nor in the environment of any process');
is((stat "$prefix/state/token.conf")[2] & 077, 0, 'its file is for the owner alone');

my $c = Blockcast::WebSocket->connect(port => $ws, path => '/');
$c->send_json({ type => 'subscribe', stream => 'markets_health' });
my $m = $c->recv_type('markets_health', 15);
ok($m, 'markets come') or diag(output());
isnt($m && $m->{data}{markets}{energy}{status}, 'unavailable',
    'the energy market too, which wants the token');
$c->close(1000);

isnt($ask->('/node-ws')->{status}, 200, '/node-ws goes to the node');

my $logs = join '', map { Blockcast::Test::slurp($_) } $log, glob "$prefix/state/logs/*.log";
unlike($logs, qr/$token/, 'the token is in no log');

unlike($logs, qr/\[(alert|emerg|crit)\]/, 'nor does nginx report anything grave')
    or diag($logs);

kill 'TERM', $pid;
is(ended($pid), 0, 'ends on SIGTERM');
is_deeply([$t->processes], [$t->{node_pid}], 'the named node is not ours to stop');
ok(!-e "$prefix/state/token.conf", 'the token is gone from the disk');


# A node that wants a password: in the URL, and in a file that changes.

use MIME::Base64 ();

# Each preset has room in the zone, with what is included beside it.

for my $preset (map { m{([^/]+)\.conf\z} } sort glob "$root/conf/presets/*.conf") {
    $pid = start(BLOCKCAST_PRESET => $preset, THEBLOCK_RPC_URL => "http://127.0.0.1:" . free_port());
    ok(running(), "starts with $preset, and a node that is not there") or diag(output());
    kill 'TERM', $pid;
    is(ended($pid), 0, 'ends');
}


my $dialects = Blockcast::Dialects->new;
my $sent = sub {
    my ($last) = reverse $dialects->asked('bitcoin');
    return ($last // ['', '', ''])->[2] =~ /^Authorization: *(.*?)\r$/im ? $1 : '';
};
my $basic = sub { 'Basic ' . MIME::Base64::encode_base64($_[0], '') };
my $all = sub { join '', map { Blockcast::Test::slurp($_) } $log, glob "$prefix/state/logs/*.log" };

$pid = start(THEBLOCK_RPC_URL => "http://us%40er:sek%2Fret\@127.0.0.1:$dialects->{port}/bitcoin/", BLOCKCAST_PRESET => 'bitcoin');
ok(running(), 'starts with a password in the URL') or diag(output());
$ask->('/api/streams/chain');
ok(wait_for(sub { $sent->() eq $basic->('us@er:sek/ret') }, 20), 'the node gets it') or diag($sent->());
@seen = grep { (Blockcast::Test::slurp("/proc/$_/cmdline") . Blockcast::Test::slurp("/proc/$_/environ")) =~ m{sek(%2F|/)ret} } $t->processes;
is_deeply(\@seen, [], 'it is in no process list or environment');
my $encoded = quotemeta MIME::Base64::encode_base64('us@er:sek/ret', '');
unlike($all->(), qr{sek(%2F|/)ret|$encoded}, 'nor in a log');
is((stat "$prefix/state/token.conf")[2] & 077, 0, 'its file is for the owner alone');
kill 'TERM', $pid;
is(ended($pid), 0, 'ends');
ok(!-e "$prefix/state/token.conf", 'it is gone from the disk');

my $cookie = "$prefix/cookie";
my $write = sub {
    unlink $cookie;
    open my $fh, '>', $cookie or die "$cookie: $!\n";
    chmod 0600, $cookie;
    print $fh $_[0];
    close $fh;
};

$write->("__cookie__:one\n");
$pid = start(THEBLOCK_RPC_URL => "http://127.0.0.1:$dialects->{port}/bitcoin/", BLOCKCAST_PRESET => 'bitcoin', THEBLOCK_AUTH_FILE => $cookie);
ok(running(), 'starts with a file of credentials') or diag(output());
$ask->('/api/streams/chain');
ok(wait_for(sub { $sent->() eq $basic->('__cookie__:one') }, 20), 'the node gets them') or diag($sent->());
$write->("__cookie__:two\n");
ok(wait_for(sub { $ask->('/api/streams/chain'); $sent->() eq $basic->('__cookie__:two') }, 30), 'and others when the file has changed') or diag($sent->());
kill 'TERM', $pid;
is(ended($pid), 0, 'ends');
is_deeply([glob "$prefix/state/tmp/cred*"], [], 'without a copy');

is(ended(start(THEBLOCK_AUTH_FILE => $cookie)), 1, 'credentials without a node');
like(output(), qr/THEBLOCK_AUTH_FILE=.* needs THEBLOCK_RPC_URL/, 'are refused');
$dialects->stop;


# Killed with no chance to clean up, its processes go all the same.

$pid = start(THEBLOCK_RPC_URL => "http://127.0.0.1:$t->{node_port}/");
ok(running(), 'starts without the token') or diag(output());
my $epoch = $ask->('/api/streams')->{body} =~ /"epoch":(\d+)/ && $1;
kill 'KILL', $pid;
ended($pid);
ok(wait_for { my @p = $t->processes; @p == 1 }, 'kill -9 leaves no nginx behind');

$pid = start(THEBLOCK_RPC_URL => "http://127.0.0.1:$t->{node_port}/");
ok(running(), 'starts with the same node again') or diag(output());
like($ask->('/api/streams')->{body}, qr/"epoch":$epoch\b/, 'in the same epoch');
is((stat "$prefix/state/feeds")[2] & 07777, 0700, 'what it remembers is for the owner alone');
kill 'INT', $pid;
is(ended($pid), 0, 'ends');


# A preset of one's own, anywhere: its programs are found beside it, and so is
# what they include; the ones that it does not have are ours.

my $spew = sub {
    open my $fh, '>', "$prefix/mine/$_[0]" or die "$_[0]: $!\n";
    print $fh $_[1];
    close $fh;
};

mkdir "$prefix/mine";
$spew->("mine.conf", <<'EOF');
blockcast_stream scheduler {
    blockcast_interval 500ms;
    blockcast_call     stats scheduler.stats;
    blockcast_call     other net.stats params_jq_file=mine-params.jq;
    blockcast_jq_file  mine.jq;
}

blockcast_stream peers {
    blockcast_interval 500ms;
    blockcast_call     peers net.peers;
    blockcast_jq_file  presets/the-block-seed-peers.jq;
}
EOF
$spew->("mine.jq", 'include "mine-lib"; { answer: answer, tps: .results.other.tps }');
$spew->("mine-params.jq", 'include "presets/mine-lib"; { n: answer }');
$spew->("mine-lib.jq", 'def answer: 42;');
$spew->("mine.dashboard.json", '{"title":"Mine","panels":[{"panel":"numbers","stream":"scheduler","numbres":[]}]}');

{
    $pid = start(BLOCKCAST_PRESET => "$prefix/mine/mine.conf",
        BLOCKCAST_FRAME_ANCESTORS => 'self https://a.example:8443');
    ok(running(), 'starts with a preset of one\'s own') or diag(output());
    my $body = wait_for {
        my $r = $ask->('/theblock/scheduler/stats');
        $r->{status} == 200 && $r->{body} =~ /"answer":42/ && $r->{body};
    } 20;
    like($body // '', qr/"tps":\d/, 'and has its stream') or diag(output());
    ok(wait_for { $ask->('/theblock/peers/list')->{body} =~ /"total":\d/ }, 'and one with a program of ours');
    isnt($ask->('/theblock/receipts')->{status}, 200, 'and no other');
    my $board = $ask->('/dashboard.json');
    like($board->{body}, qr/"title":"Mine"/, 'what the dashboard shows is beside the preset');
    like($board->{headers}{'content-type'}, qr{^application/json}, 'as JSON');
    like(output(), qr/mine\.dashboard\.json cannot be used:\s+panels\[0\]\.numbres is not known; did you mean "numbers"\?/,
        'and what is wrong with it is said');
    my $page = $ask->('/')->{headers};
    like($page->{'content-security-policy'}, qr{; frame-ancestors 'self' https://a\.example:8443$},
        'who may frame the dashboard');
    is($page->{'x-frame-options'}, undef, 'and no older header forbids it');
    kill 'INT', $pid;
    is(ended($pid), 0, 'ends');
}


# nginx ending by itself is an error, and ends the rest.

$pid = start();
ok(running(), 'starts again after that') or diag(output());
my ($master) = Blockcast::Test::slurp("$prefix/state/nginx.pid") =~ /(\d+)/;
kill 'TERM', $master;
is(ended($pid), 1, 'when nginx ends, conf/run ends');
like(output(), qr/nginx ended/, 'with a sentence');
is_deeply([$t->processes], [$t->{node_pid}], 'and the simulated node with it');
$t->stop_node;


# A node that answers only later.

my $later = free_port();
$pid = start(THEBLOCK_RPC_URL => "http://localhost:$later");
ok(running(), 'starts without an answering node') or diag(output());
like(output(), qr/does not answer/, 'and says so');
$t->start_node(dialect => 'seed', port => $later);
ok(running(qr/switched to the preset the-block-seed/), 'switches once it answers')
    or diag(output());

# a worker of before the switch may still take the connection, and says goodbye
$m = wait_for {
    my $c = eval { Blockcast::WebSocket->connect(port => $ws, path => '/') }
        or return;
    $c->send_json({ type => 'subscribe', stream => 'network_metrics' });
    $c->recv_type('network_metrics', 5);
} 20;
ok($m && defined $m->{data}{tps}, 'with that node\'s data')
    or diag(explain($m), output(), $ask->('/api/health')->{body});

kill 'INT', $pid;
is(ended($pid), 0, 'ends');
$t->stop_node;
is_deeply([$t->processes], [], 'nothing is left');


# A start when all is built, with no network but the machine's own: nothing is
# asked for at a registry. It is what a newcomer does on the train.

SKIP: {
    skip 'a network of its own needs root', 3 if $> != 0;
    skip 'another nginx than the installed one is not what conf/run builds for', 3
        if Blockcast::Test::nginx_binary() ne '/usr/sbin/nginx';

    local @ENV{keys %clean} = values %clean;
    delete local @ENV{qw(BLOCKCAST_MODULE BLOCKCAST_NGINX)};
    $log = "$prefix/run-alone.log";

    # lo is down in a new network: SIOCSIFFLAGS, IFF_UP
    $pid = $t->spawn($log, 'unshare', '--net', 'perl', '-e', 'use Socket;'
        . 'my $lo = pack "a16 s x22", "lo", 1;'
        . 'socket(S, AF_INET, SOCK_DGRAM, 0) && ioctl(S, 0x8914, $lo) or die "lo: $!\n";'
        . 'exec @ARGV or die "$ARGV[0]: $!\n"', "$root/conf/run");

    ok(running(), 'starts without a network') or diag(output());
    unlike(output(), qr/installing/, '... and installs nothing');
    kill 'INT', $pid;
    is(ended($pid), 0, '... and ends');
}

$t->stop;

done_testing();
