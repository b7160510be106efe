#!/usr/bin/perl

# Server-sent events and long polling, while the data changes. If this fails, a
# page behind a proxy that lets no WebSocket through sees a receipt twice, or
# never, or late. Requests and the heads of their answers are in t/46-sse.t.

# lane: waits

use strict;
use warnings;

use Compress::Raw::Zlib;
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Ledger;
use Blockcast::Test;

my $json = JSON::PP->new;
my $ledger = Blockcast::Ledger->new(rate => 50, page => 200);

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0,
    http => <<"EOF" . <<'EOF', server => <<'EOS');
    upstream ledger { server 127.0.0.1:$ledger->{port}; keepalive 8; }
EOF
    blockcast_zone main 8m;
    blockcast_drain 1s;

    blockcast_stream fast {
        blockcast_interval 50ms;
        blockcast_node ledger;
        blockcast_call c count;
    }
    blockcast_stream log {
        blockcast_interval 100ms;
        blockcast_node ledger;
        blockcast_call c ledger;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=5000;
    }
    blockcast_stream still {
        blockcast_interval 50ms;
        blockcast_call c test.still;
    }
    blockcast_stream never {
        blockcast_interval 50ms;
        blockcast_call c test.never;
    }

    server {
        listen 127.0.0.1:%%PORT1%% ssl http2;
        ssl_certificate %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /events { blockcast_sse; }
        location /api/ { blockcast_api; }
    }
EOF
    location /events { blockcast_sse; }
    location /some { blockcast_sse fast; }
    location /packed {
        blockcast_sse;
        gzip on;
        gzip_types text/event-stream;
        gzip_min_length 0;
    }
    location /front/ { proxy_pass http://127.0.0.1:%%PORT%%/events/; }
    location /api/ { blockcast_api; }
    location = /_node {
        blockcast_node;
        proxy_pass http://%%NODE%%/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
    location = /_ledger {
        blockcast_node ledger;
        proxy_pass http://ledger/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=localhost', '-batch', '-out', $t->prefix . '/cert.pem',
    '-keyout', $t->prefix . '/key.pem');
$t->start;

$t->set('test.still', '1');
$t->set_error('test.never', '{"code":-5,"message":"none yet"}');


# An event stream, read as HTTP/1.1 with chunks.

sub events {
    my ($path, %h) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) // die "connect: $!\n";
    $s->syswrite("GET $path HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n");

    my $e = { socket => $s, raw => '', text => '', events => [] };
    my $end = time + 20;
    while ($e->{raw} !~ /\r\n\r\n/ && time < $end) { more($e, 20) || last }
    ($e->{head}, $e->{raw}) = split /\r\n\r\n/, $e->{raw}, 2;
    ($e->{status}) = $e->{head} =~ m{^HTTP/1.1 (\d+)};
    return $e;
}


sub more {
    my ($e, $timeout) = @_;

    vec(my $rin = '', fileno $e->{socket}, 1) = 1;
    select($rin, undef, undef, $timeout) > 0 or return;
    return sysread($e->{socket}, $e->{raw}, 65536, length $e->{raw}) || do { $e->{eof} = 1; 0 };
}


# The next event: { id, data, retry }, or { comment => 1 }.

sub event {
    my ($e, $timeout) = @_;
    my $end = time + ($timeout // 20);

    while (1) {
        while (!$e->{last} && $e->{raw} =~ /^([0-9a-f]+)\r\n/i) {
            my ($len, $skip) = (hex $1, length $&);
            last if length $e->{raw} < $skip + $len + 2;
            $e->{last} = 1 if $len == 0;
            my $part = substr $e->{raw}, $skip, $len;
            if ($e->{inflate}) {
                $e->{inflate}->inflate($part, my $out);
                $part = $out;
            }
            $e->{text} .= $part;
            substr($e->{raw}, 0, $skip + $len + 2) = '';
        }

        if ($e->{text} =~ s/^(.*?)\n\n//s) {
            my %f = map { /^(\w*): ?(.*)$/ ? ($1 || 'comment', $2) : ('odd', $_) } split /\n/, $1;
            $f{m} = $json->decode($f{data}) if exists $f{data};
            return \%f;
        }

        return if $e->{eof} || time > $end;
        more($e, $end - time);
    }
}


sub data_of { my ($e, $type) = @_; while (my $v = event($e)) { return $v if $v->{m} && $v->{m}{type} eq $type } }


my ($e, $v, $begun, $r, @many);

my $subscribers = sub { (grep { $_->{name} eq 'still' } @{ $t->get_json('/api/streams')->{streams} })[0]{subscribers} };

sub poll { my ($query, %opt) = @_; my $b = time; my $r = $t->get("/api/streams/$query", timeout => 70, %opt); $r->{took} = time - $b; $r }


subtest 'an event has the message a WebSocket would have' => sub {
    $e = events('/events?streams=fast');
    $v = data_of($e, 'fast');
    is($v->{m}{data}, data_of($e, 'fast')->{m}{data} - 1, 'one after another');
    close $e->{socket};
};


# Resume: cut at any moment, an EventSource that comes back with the id of the
# last event it saw misses nothing and sees nothing twice.

subtest 'resume' => sub {
    my ($id, $last, $wrong, $seen) = (undef, undef, '', 0);
    srand 3;

    for my $round (1 .. 12) {
        my $e = events('/events?streams=log,fast', defined $id ? ('Last-Event-ID' => $id) : ());
        my $end = time + 0.2 + rand 0.3;

        while (time < $end) {
            my $v = event($e, 0.2) // next;
            next unless $v->{m};
            $id = $v->{id};
            next unless $v->{m}{type} eq 'log';
            $wrong .= "round $round: a gap\n" if $v->{m}{gap};
            for (map { $_->{id} } @{ $v->{m}{data}{entries} }) {
                $wrong .= "round $round: $_ after $last\n" if defined $last && $_ != $last + 1;
                $last = $_;
                $seen++;
            }
        }

        close $e->{socket};
    }

    is($wrong, '', "12 connections: every entry once, in order ($seen)");
    cmp_ok($seen, '>', 100, 'and many of them');

    my ($epoch) = $id =~ /^(\d+)/;
    for (["1;log=1", 'another epoch'], ['rubbish', 'an id that is none'], ["$epoch;log=99999999999999999999", 'a seq too large'],
        ["$epoch;log=", 'no seq'], ["$epoch;log=4000000000", 'a seq to come'], [';' x 2000, 'only separators'])
    {
        my ($text, $name) = @$_;
        my $e = events('/events/log', 'Last-Event-ID' => $text);
        my $v = data_of($e, 'log');
        cmp_ok(scalar @{ $v->{m}{data}{entries} }, '<=', 20, "$name: the newest page");
        close $e->{socket};
    }
};


# Through nginx as a proxy, packed, over TLS and HTTP/2.

subtest 'proxies, TLS, HTTP/2' => sub {
    $e = events('/front/fast');
    data_of($e, 'fast');
    $begun = time;
    data_of($e, 'fast') for 1 .. 5;
    cmp_ok(time - $begun, '<', 5 * slow(), 'behind another nginx the events come as they are made');
    close $e->{socket};

    $e = events('/packed/fast', 'Accept-Encoding' => 'gzip');
    like($e->{head}, qr/^Content-Encoding: gzip/m, 'gzip in front');
    ($e->{inflate}) = Compress::Raw::Zlib::Inflate->new(-WindowBits => WANT_GZIP, -AppendOutput => 0);
    data_of($e, 'fast');
    $begun = time;
    data_of($e, 'fast') for 1 .. 5;
    cmp_ok(time - $begun, '<', 5 * slow(), 'holds nothing back');
    close $e->{socket};

    for my $version ('--http1.1', '--http2') {
        my $pid = open my $curl, '-|', 'curl', '-sNk', '-i', $version, '--max-time', 60,
            'https://127.0.0.1:' . $t->port(1) . '/events?streams=fast,log' or die "curl: $!\n";
        my ($text, $n) = ('', 0);
        while (<$curl>) { $text .= $_; last if /^data:/ && ++$n == 10 }
        kill 'TERM', $pid;
        close $curl;
        like($text, $version eq '--http2' ? qr{^HTTP/2 200} : qr{^HTTP/1.1 200}, "TLS, $version");
        is($n, 10, 'ten events');
        like($text, qr/^id: \d+;log=\d+\r?\ndata: \{"type":"log"/m, 'with their ids');
    }

    ok(wait_for { $t->get_json('/api/health')->{workers}[0]{connections} == 0 },
        'clients that are gone are not counted any more');
};


# Heartbeats, while nothing changes.

subtest 'heartbeats' => sub {
    $e = events('/events/still');
    data_of($e, 'still');
    $begun = time;
    do { $v = event($e, 60) } while $v && $v->{m} && $v->{m}{type} eq 'status';
    ok($v && exists $v->{comment} && !exists $v->{data}, 'a comment in the silence') or diag explain $v;
    cmp_ok(time - $begun, '<=', 15 + 3 * slow(), 'within 15 seconds');
    $t->set('test.still', '2');
    is(data_of($e, 'still')->{m}{data}, 2, 'and events go on');
    close $e->{socket};
};


# Long polling.

subtest 'long polling' => sub {
    my $now = poll('still');
    my $seq = $json->decode($now->{body})->{seq};
    $r = poll("still?wait=10s&after=" . ($seq - 1));
    is($r->{status}, 200, 'an old seq is answered at once');
    cmp_ok($r->{took}, '<', 2 * slow(), 'really');
    $r = poll("still?wait=300ms&after=$seq");
    is($r->{status}, 204, 'the newest: 204 when the time is over');
    cmp_ok($r->{took}, '>=', 0.29, 'not before');
    cmp_ok($r->{took}, '<', 3 * slow(), 'nor long after');
    is($r->{body}, '', 'without a body');
    is(poll('still?wait=300ms')->{status}, 204, 'without after: what comes next');
    is(poll("still?wait=10s&after=" . ($seq + 1000))->{status}, 200, 'a seq of another epoch: at once');
    is(poll("still?wait=0&after=$seq")->{status}, 200, 'wait=0: no waiting');

    my $fast = $json->decode(poll('fast?wait=50s&after=0')->{body})->{seq};
    my $ok = 0;
    for (1 .. 10) {
        my $m = $json->decode(poll("fast?wait=50s&after=$fast")->{body});
        $ok++ if $m->{seq} > $fast;
        $fast = $m->{seq};
    }
    is($ok, 10, 'poll after poll, each has the next');

    # before there is any data
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        sleep 0.5;
        $t->set('test.never', '"at last"');
        require POSIX;
        POSIX::_exit(0);
    }
    $r = poll('never?wait=50s&after=0');
    waitpid $pid, 0;
    is($r->{status}, 200, 'a stream without data: the first is waited for');
    is($json->decode($r->{body})->{data}, 'at last', 'and sent');

    # clients that give up
    my @gone = map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port);
        $s->syswrite("GET /api/streams/still?wait=50s HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $s;
    } 1 .. 20;
    ok(wait_for { $subscribers->() == 20 }, '20 wait');
    close $_ for @gone;
    ok(wait_for { $subscribers->() == 0 }, 'and when they give up nobody does');
    $t->set('test.still', '3');
    ok(wait_for { poll('still')->{body} =~ /"data":3/ }, 'which the next change survives');
};


my ($worker) = $t->worker_pids;
sub memory { (Blockcast::Test::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m)[0] }


# A request that lives for 10,000 events keeps its memory. The node is asked
# every 50 ms: 50 clients take them. (A sanitizer keeps 256 MB of what was freed.)

subtest 'a request that lives long keeps its memory' => sub {
    @many = map { events('/events?streams=fast,log') } 1 .. 50;
    my $count = 0;

    my $take = sub {
        my ($n) = @_;
        my ($last, $until) = ($count + $n, time + 60);

        while ($count < $last && time < $until) {
            for my $e (@many) {
                more($e, 0.001) or next;
                $count += () = $e->{raw} =~ /^id: /mg;
                $e->{raw} = '';
            }
        }
    };

    # what the worker needs when its clients are late, it takes once: memory that
    # each event costs grows in each of the rounds

    $take->(2000);
    my $grown;
    my $bound = $ENV{BLOCKCAST_SANITIZE} ? 400_000 : 800;

    for (1 .. 3) {
        my $base = memory();
        $take->(8000);
        $grown = memory() - $base;
        last if $grown < $bound;
    }

    cmp_ok($count, '>=', 10_000, 'ten thousand events');
    cmp_ok($grown, '<', $bound, "eight thousand events cost the worker $grown kB");
    close $_->{socket} for @many[1 .. 49];
};


# Reload: the old worker ends the streams, cleanly, and spread.

subtest 'reload' => sub {
    $e = $many[0];
    @$e{qw(raw text)} = ('', '');
    my $waiting = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port);
    $waiting->syswrite("GET /api/streams/still?wait=50s HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $h2 = open my $curl, '-|', 'curl', '-sNk', '--http2', '--max-time', 90, '-o', '/dev/null', '-w', '%{http_code} %{exitcode}',
        'https://127.0.0.1:' . $t->port(1) . '/events/fast';
    ok(wait_for { $subscribers->() == 1 }, 'one waits, others listen');
    sleep 0.3;
    ok($t->reload(gone => 10), 'reload: the old worker is gone');
    my $tail = '';
    { local $/; while (sysread $e->{socket}, my $x, 65536) { $tail .= $x } }
    like($tail, qr/\r\n0\r\n\r\n\z/, 'the event stream has its end');
    { local $/; like(<$curl> // '', qr/^200 0$/, 'over HTTP/2, too'); }
    close $curl;
    my $answer = '';
    while (sysread $waiting, my $x, 65536) { $answer .= $x }
    like($answer, qr{^HTTP/1.1 204}, 'who polled has an answer');
};

$ledger->stop;
$t->stop;
done_testing();
