#!/usr/bin/perl

# The location that a node's hook calls (blockcast_poke). If this fails, a
# block is shown only with the next poll, or a flood of pokes is passed on to
# the node.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Test;

my $dir = File::Temp->newdir;
chmod 0755, "$dir";
open my $fh, '>', "$dir/tokens" or die;
print $fh "secret-of-the-hook-00 hook a\nsecret-of-another-000 two b\n";
close $fh;

my $t = Blockcast::Test->new(workers => 4, node => { rate_limit => 1000000 },
    http => join('', map { "blockcast_stream $_ { blockcast_interval 10m; blockcast_stale 20m; blockcast_call c x.$_; }\n" } qw(a b idle)),
    server => "location = /ws { blockcast_websocket; } location /api/ { blockcast_api; } location = /metrics { blockcast_metrics; }
        location = /poke { blockcast_poke; }
        location = /poke/a { blockcast_poke a a; }
        location = /poke/token { blockcast_poke; blockcast_tokens $dir/tokens; }
        location = /poke/denied { deny all; blockcast_poke; }
        location = /poke/limited { limit_except POST { deny all; } blockcast_poke a; }");

sub poke { my ($path, %o) = @_; return $t->request(POST => $path, body => $o{body} // '', headers => $o{headers} // {}) }
sub answer { return eval { $Blockcast::Test::JSON->decode($_[0]{body}) } // {} }
sub poked { my $a = answer($_[0]); return join ' ', map { "$_->{name}:" . ($_->{poked} ? 'yes' : $_->{reason} // 'no') } @{ $a->{streams} // [] } }

# Waits until no poll is to come by itself: two more after one that brings nothing.
sub settled {
    my (@names) = @_;
    my ($last, $since) = ('', time);
    wait_for(sub {
        my $now = join ' ', map { $t->asked($_) } @names;
        ($last, $since) = ($now, time) if $now ne $last;
        time - $since > 0.5 * slow();
    }, 30);
}

$t->set($_ => 1) for qw(a b idle);

my ($wsa, $wsb) = map { $t->ws('/ws') } 1, 2;
$wsa->subscribe('a');
$wsb->subscribe('b');
is($wsa->recv_type('a')->{data}, 1, 'a');
is($wsb->recv_type('b')->{data}, 1, 'b');


subtest 'a poke polls at once, whichever worker it reaches' => sub {
    for my $n (2 .. 9) {
        $t->set(a => $n);
        my $r = poke('/poke/a');
        is($r->{status}, 202, '202');
        is($r->{headers}{'content-type'}, 'application/json', 'JSON');
        is($r->{headers}{'cache-control'}, 'no-store', 'kept by no cache');
        is(poked($r), 'a:yes', 'one stream, named twice');
        is(($wsa->recv_type('a', 20) // {})->{data}, $n, "data $n");
    }
    is($t->asked('b'), 1, 'the other stream was not polled');
};

subtest 'names, and nothing else' => sub {
    my $r = poke('/poke?stream=b&stream=idle&x=1', body => '{"data":{"a":99}}');
    is($r->{status}, 202, '202');
    is(poked($r), 'b:yes idle:nobody listens', 'those named; one that nobody wants is not polled');
    is(answer($r)->{poked}, 1, 'so many');
    is($t->asked('idle'), 0, 'it was not');
    is(poked(poke('/poke')), 'a:yes b:yes idle:nobody listens', 'all of the location');
    is(poked(poke('/poke?stream=%61')), 'a:yes', 'percent-encoded');
    is_deeply([ map { $t->data($_) } qw(a b) ], [ 9, 1 ], 'what the request had is no data');

    $t->is_error(poke('/poke?stream=a&stream=nope'), 404, 'unknown_stream', qr/^unknown stream: nope$/, 'an unknown stream');
    $t->is_error(poke('/poke/a?stream=b'), 404, 'unknown_stream', qr/^unknown stream: b$/, 'one that the location has not');
    $t->is_error(poke('/poke?stream='), 404, 'unknown_stream', qr/^unknown stream: $/, 'an empty name');
    my $big = poke('/poke?stream=a', body => 'x' x 200000);
    is($big->{status}, 202, 'a body is thrown away');
};

subtest 'POST alone' => sub {
    for my $method (qw(GET PUT DELETE PATCH OPTIONS)) {
        my $r = $t->request($method => '/poke');
        is($r->{status}, 405, "$method: 405");
        is($r->{headers}{allow}, 'POST', 'Allow');
        is(answer($r)->{error}, 'method_not_allowed', 'which says why') ;
    }
    is($t->request(HEAD => '/poke')->{status}, 405, 'HEAD: 405');
    is(poke('/poke/limited')->{status}, 202, 'limit_except');
    is($t->request(GET => '/poke/limited')->{status}, 403, 'limit_except: denied');
};

subtest 'who may' => sub {
    is(poke('/poke/denied')->{status}, 403, 'deny all');
    my $r = poke('/poke/token');
    is($r->{status}, 401, 'no token: 401');
    is($r->{headers}{'www-authenticate'}, 'Bearer', 'WWW-Authenticate');
    is(poke('/poke/token', headers => { Authorization => 'Bearer wrong-wrong-wrong-00' })->{status}, 401, 'a wrong one');
    is(poked(poke('/poke/token', headers => { Authorization => 'Bearer secret-of-the-hook-00' })), 'a:yes', 'a token has its streams');
    is(poke('/poke/token?stream=b', headers => { Authorization => 'Bearer secret-of-the-hook-00' })->{status}, 404, 'and another is as one that is not there');
    is(poke('/poke', headers => { Origin => 'http://evil.test' })->{status}, 403, 'a page of another site');
    is(poke('/poke', headers => { Origin => 'http://localhost' })->{status}, 202, 'one of this');
    is(poke('/poke', headers => { Origin => 'null' })->{status}, 403, 'one of nowhere');
};

subtest 'nothing new: again, for a node may lag' => sub {
    settled('a');
    my $asked = $t->asked('a');
    poke('/poke/a');
    my @at;
    my $start = time;
    wait_for(sub { my $n = $t->asked('a') - $asked; push @at, time - $start while @at < $n; @at == 3 }, 20);
    is(scalar @at, 3, 'three rounds');
    cmp_ok($at[1], '>=', 0.08, 'the second about 100 ms later');
    cmp_ok($at[2], '>=', 0.27, 'the third about 300 ms later');
    settled('a');
    is($t->asked('a') - $asked, 3, 'and no more');

    # the node has it a little later
    $asked = $t->asked('a');
    poke('/poke/a');
    wait_for(sub { $t->asked('a') > $asked }, 20);
    $t->set(a => 100);
    is(($wsa->recv_type('a', 20) // {})->{data}, 100, 'the block of a node that lags');
    settled('a');
    cmp_ok($t->asked('a') - $asked, '<=', 3, 'and then no more');
};

subtest 'a flood' => sub {
    settled('a');
    my ($asked, $start, $n) = ($t->asked('a'), time, 0);
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Proto => 'tcp') or die;
    my $request = "POST /poke/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

    for (1 .. 40) {
        syswrite $s, $request x 25;
        my ($buf, $got) = ('', 0);
        while ($got < 25) { sysread $s, $buf, 65536, length $buf or last; $got = () = $buf =~ /^HTTP\/1\.1 202/mg }
        $n += $got;
    }
    my $took = time - $start;
    is($n, 1000, '1000 pokes in ' . sprintf('%.2f s', $took));
    $t->set(a => 200);
    poke('/poke/a');
    is(($wsa->recv_type('a', 20) // {})->{data}, 200, 'the newest data');
    settled('a');
    my $rounds = $t->asked('a') - $asked;
    cmp_ok($rounds, '<=', (time - $start) / 0.05 + 4, "$rounds rounds");
    cmp_ok($rounds, '<=', 2 * $took / 0.05 + 8, 'one in 50 ms at most');

    my $metrics = $t->get('/metrics')->{body};
    my ($pokes) = $metrics =~ /^blockcast_pokes_total\{stream="a"\} (\d+)$/m;
    my ($folded) = $metrics =~ /^blockcast_pokes_folded_total\{stream="a"\} (\d+)$/m;
    my ($extra) = $metrics =~ /^blockcast_polls_extra_total\{stream="a"\} (\d+)$/m;
    cmp_ok($pokes, '>=', 1000, "pokes_total $pokes");
    cmp_ok($folded, '>=', 900, "pokes_folded_total $folded");
    cmp_ok($extra, '<=', $t->asked('a'), "polls_extra_total $extra");
    like($metrics, qr/^blockcast_pokes_dropped_total\{stream="idle"\} [1-9]/m, 'pokes_dropped_total');
    is($t->row('a')->{pokes}, $pokes, '/api/streams has it');
};

subtest 'a node that is down, or limits us, is not poked' => sub {
    settled('a', 'b');
    $t->fault('*' => 'drop');
    for (1 .. 4) { poke('/poke?stream=a&stream=b'); settled('a') }
    my $state;
    wait_for(sub { poke('/poke?stream=a&stream=b'); ($state = $t->get_json('/api/health')->{nodes}[0]{state}) eq 'down' }, 30);
    is($state, 'down', 'the node is down');
    is(poked(poke('/poke/a')), 'a:the node is down', 'the answer says so');
    $t->heal;
};

$t->stop;

my $l = Blockcast::Test->new(start => 0, node => { rate_limit => 1000000 },
    http => 'blockcast_stream a { blockcast_interval 10m; blockcast_stale 20m; blockcast_always on; blockcast_call c x.a; }',
    server => 'location = /poke { blockcast_poke; } location /api/ { blockcast_api; }');

subtest 'a limit' => sub {
    $t = $l;
    $t->set(a => 1);
    $t->start;
    wait_for(sub { $t->row('a')->{seq} }, 20);
    is(poked(poke('/poke')), 'a:yes', 'always polled');
    settled('a');
    $t->fault('*' => 'rate_limited');
    wait_for(sub { poke('/poke'); $t->get_json('/api/health')->{nodes}[0]{state} eq 'limited' }, 20);
    is(poked(poke('/poke')), 'a:the node is limited', 'the answer says so');
    my $asked = $t->asked('a');
    poke('/poke') for 1 .. 20;
    sleep 0.3;
    cmp_ok($t->asked('a') - $asked, '<=', 1, 'and it is left alone');
};

$l->stop;
done_testing();
