#!/usr/bin/perl

# /node-ws of conf/run passes WebSocket on to the node. If this fails, any page
# that somebody on the same network opens talks to the node, with the
# operator's token or with what the browser adds by itself.
#
# needs: web

use strict;
use warnings;

use Digest::SHA ();
use IO::Socket::INET ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Test;

my $root = $Blockcast::Test::ROOT;
my $t = Blockcast::Test->new(start => 0);
my $prefix = $t->prefix;
my $token = 'sekret-token_0123456789';

$t->start_node(dialect => 'real', token => $token);


# The node's WebSocket: notes the head of each request, and says hello.

my ($heads, $server, $http, $ws, $pid, $log);

subtest 'the node\'s WebSocket' => sub {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) // die "listen: $!\n";
    $heads = "$prefix/heads";
    $server = fork // die "fork: $!\n";

    if (!$server) {
        $SIG{ALRM} = $SIG{TERM} = 'DEFAULT';
        alarm 300;
        while (my $c = $listen->accept) {
            my $head = '';
            while ($head !~ /\r\n\r\n/) { sysread($c, $head, 4096, length $head) or last }
            open my $fh, '>>', $heads or POSIX::_exit(1);
            print $fh "$head\n";
            close $fh;
            my ($key) = $head =~ /^Sec-WebSocket-Key: (\S+)/mi;
            my $accept = Digest::SHA::sha1_base64(($key // '') . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';
            syswrite $c, defined $key
                ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n\r\n\x81\x05hello"
                : "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwithin";
            close $c;
        }
        POSIX::_exit(0);
    }

    ($http, $ws) = (free_port(), free_port());

    my %env = (
        BLOCKCAST_STATE => "$prefix/state",
        BLOCKCAST_MODULE => Blockcast::Test::module_path(),
        BLOCKCAST_NGINX => Blockcast::Test::nginx_binary(),
        HTTP_HOST => '127.0.0.1', HTTP_PORT => $http,
        WS_HOST => '127.0.0.1', WS_PORT => $ws,
        BLOCKCAST_ASAN => Blockcast::Test::without_leaks($ENV{BLOCKCAST_ASAN}),
        THEBLOCK_RPC_URL => "http://localhost:$t->{node_port}",
        THEBLOCK_AUTH_TOKEN => $token,
        THEBLOCK_WS_URL => 'ws://127.0.0.1:' . $listen->sockport . '/inner',
        BLOCKCAST_HEAD => 'off',     # the heads that are counted here are those of visitors
    );

    ($pid, $log) = (undef, "$prefix/run.log");
    {
        local @ENV{keys %env} = values %env;
        $pid = $t->spawn($log, "$root/conf/run");
    }
    ok(wait_for(sub { Blockcast::Test::slurp($log) =~ /^  logs /m }, 60), 'starts')
        or diag(Blockcast::Test::slurp($log));
};


# Asks for /node-ws: the status, and what the node has seen of it.

sub ask {
    my (%h) = @_;

    my $method = delete $h{method} // 'GET';
    my $path = delete $h{path} // '/node-ws';
    my $seen = -s $heads // 0;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http) // die "connect: $!\n";

    %h = (Host => "127.0.0.1:$http", Upgrade => 'websocket', Connection => 'Upgrade',
        'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => 'MDEyMzQ1Njc4OWFiY2RlZg==', %h);
    $s->syswrite("$method $path HTTP/1.1\r\n"
        . join('', map { defined $h{$_} ? "$_: $h{$_}\r\n" : () } sort keys %h) . "\r\n");

    my ($text, $end) = ('', time + 20);
    while ($text !~ /\r\n\r\n/ && time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread($s, $text, 65536, length $text) or last;
    }
    my ($status) = $text =~ m{^HTTP/1\.1 (\d+)};
    return ($status // 0, substr(Blockcast::Test::slurp($heads) // '', $seen), $text);
}


# The same pages as at /ws, and no other.

my $host;

subtest 'the same pages as at /ws, and no other' => sub {
    $host = "127.0.0.1:$http";

    for my $case (
        # Origin, Host, status
        [undef, $host, 101], ["http://$host", $host, 101], ['http://127.0.0.1:3000', $host, 101],
        ['https://127.0.0.1', $host, 101], ['http://CHAIN.test', 'chain.test', 101],
        ['http://chain.test', 'CHAIN.TEST:8000', 101], ['http://[::1]:8000', '[::1]:8000', 101],
        ['http://evil.test', $host, 403], ['null', $host, 403], ['', $host, 403],
        ['http://127.0.0.1.evil.test', $host, 403], ['http://x.chain.test', 'chain.test', 403],
        ['http://chain.test', 'x.chain.test', 403], ['http://[::2]:8000', '[::1]:8000', 403],
        ['http://chain.test@evil.test', 'chain.test', 403], ['http://chain.test:80@evil.test', 'chain.test', 403],
        ["http://evil.test/$host", $host, 403], ['file://', $host, 403],
        ['chrome-extension://abcdefghijklmnop', $host, 403], ["http://$host\r\nOrigin: http://evil.test", $host, 403],
    ) {
        my ($origin, $to, $want) = @$case;
        my $name = 'Origin ' . ($origin // 'none') . ", Host $to";
        my ($status, $seen, $text) = ask(Origin => $origin, Host => $to);
        is($status, $want, "$name: $want");
        if ($want == 101) {
            like($seen, qr{^GET /inner HTTP/1\.1\r\n}, 'the node has it');
        } else {
            is($seen, '', 'the node hears nothing of it');
            like($text, qr/Pages of this Origin may not connect here/, 'and the page a sentence');
        }
        is((ask(Origin => $origin, Host => $to, path => '/ws'))[0], $want, 'as /ws');
    }
};


# Never a token, of whomever.

my ($status, $seen);

subtest 'never a token, of whomever' => sub {
    ($status, $seen) = ask(Origin => "http://$host", Authorization => 'Bearer of-the-visitor-0123',
        Cookie => 'session=of-the-visitor', 'Sec-WebSocket-Protocol' => 'eth');
    is($status, 101, 'connects');
    unlike($seen, qr/^Authorization:/mi, 'the node gets no Authorization, not the operator\'s nor the visitor\'s');
    unlike($seen, qr/^Cookie:/mi, 'nor a cookie');
    unlike($seen, qr/\Q$token\E/, 'nor the token elsewhere');
    like($seen, qr/^Sec-WebSocket-Protocol: eth\r$/m, 'but the protocol that was asked for');
};


# Nothing but WebSocket: other requests of a page come without an Origin.

subtest 'nothing but WebSocket' => sub {
    for my $case (['GET'], ['GET', Upgrade => 'h2c'], ['GET', Upgrade => 'websocketx'], ['POST', 'Content-Length' => 0],
        ['HEAD'], ['OPTIONS'])
    {
        my ($method, %h) = @$case;
        ($status, $seen) = ask(method => $method, Upgrade => undef, Connection => 'close', %h);
        is($status, 426, "$method, Upgrade " . ($h{Upgrade} // 'none') . ': 426');
        is($seen, '', 'the node hears nothing of it');
    }
    is((ask(Upgrade => 'WebSocket'))[0], 101, 'whatever its case');

    my $errors = Blockcast::Test::slurp("$prefix/state/logs/error.log");
    like($errors, qr/\[warn\].*a page of the Origin ".*" is not allowed here, the Host it was compared with is/,
        'the log names who was refused');
    unlike($errors, qr/\[(?:alert|emerg|crit)\]/, 'nothing grave');
    unlike(Blockcast::Test::slurp($_), qr/\Q$token\E/, "$_ has no token") for glob "$prefix/state/logs/*.log";

    kill 'TERM', $pid;
    ok(wait_for(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, 30), 'ends');
    kill 'TERM', $server;
    waitpid $server, 0;
    $t->stop_node;
};


done_testing();
