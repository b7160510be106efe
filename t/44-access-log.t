#!/usr/bin/perl

# Clients over TLS, nginx's limits, and what the access log tells of a
# connection at its end. If this fails, wss:// does not work, a limit does not
# hold, or a token is written where everybody reads. Who may connect is in
# t/44-access.t.

use strict;
use warnings;

use IO::Socket::SSL ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my %token = (all => 'all-0123456789abcdef', one => 'one-0123456789abcdef',
    two => 'two-0123456789abcdef', odd => 'odd/0123456789+abcde==');

my $t = Blockcast::Test->new(workers => 1, node => 1, start => 0,
    http => <<'EOF', server => <<'EOS');
    log_format ws '$uri|$status|$blockcast_streams|$blockcast_protocol|'
                  '$blockcast_frames_in|$blockcast_frames_out|'
                  '$blockcast_close_code|$blockcast_token_name';
    access_log %%PREFIX%%/ws.log ws;

    blockcast_stream alpha { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_interval 100ms; blockcast_call c net.stats; }
    blockcast_stream gamma {
        blockcast_interval 100ms;
        blockcast_call c receipt.audit;
        blockcast_jq '{receipts: .results.c}';
        blockcast_log receipts key=id;
    }

    limit_conn_zone $binary_remote_addr zone=conn:1m;
    limit_req_zone $binary_remote_addr zone=req:1m rate=1r/m;

    server {
        listen 127.0.0.1:%%PORT1%% ssl http2;
        ssl_certificate %%PREFIX%%/cert.pem;
        ssl_certificate_key %%PREFIX%%/key.pem;
        location /ws { blockcast_websocket; }
        location /tokens { blockcast_websocket; blockcast_tokens tokens; }
    }
EOF
    location = /ws { blockcast_websocket; }
    location = /tokens/ws { blockcast_websocket; blockcast_tokens tokens; }
    location = /conn { limit_conn conn 2; blockcast_websocket; }
    location = /req { limit_req zone=req burst=1 nodelay; blockcast_websocket; }
EOS


sub file {
    my ($name, $text) = @_;
    open my $fh, '>', $t->prefix . "/$name" or die "$name: $!\n";
    print $fh $text;
    close $fh;
}

file('tokens', <<"EOF");
# what the operator keeps
$token{all}  operator
$token{one}  partner   alpha
$token{two}  dashboard alpha,gamma
$token{odd}
EOF

system('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-out', $t->prefix . '/cert.pem', '-keyout', $t->prefix . '/key.pem', '-batch') == 0
    or die "openssl failed\n" if !-f $t->prefix . '/cert.pem';

$t->start;


# Tries to connect; the status, and the client when it was accepted.

sub try {
    my ($path, %opt) = @_;

    my $ws = $t->ws($path, may_fail => 1, %opt);
    return wantarray ? ($ws->status, $ws) : $ws->status;
}


sub bearer { (headers => [['Authorization', "Bearer $_[0]"]]) }


subtest 'limit_conn and limit_req' => sub {
    my @two = map { $t->ws('/conn') } 1 .. 2;
    is(scalar try('/conn'), 503, 'limit_conn: the third is refused');
    $two[0]->drop;
    ok(wait_for { (try('/conn'))[0] == 101 }, 'limit_conn: a place that was left is free');
    $two[1]->drop;

    is(join(' ', map { scalar try('/req') } 1 .. 3), '101 101 503', 'limit_req: rate and burst');
};


sub tls {
    my (%opt) = @_;
    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(1),
        SSL_ca_file => $t->prefix . '/cert.pem', SSL_verifycn_name => 'localhost', %opt)
        // die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
}


subtest 'TLS' => sub {
    my $ws = Blockcast::WebSocket->connect(socket => tls(), port => $t->port(1), path => '/ws');
    is($ws->recv_type('welcome')->{type}, 'welcome', 'wss: welcome');
    ok($ws->subscribe('alpha'), 'wss: subscribed');
    ok($ws->recv_type('alpha'), 'wss: data');
    $ws->send_json({ type => 'ping', id => 7, pad => 'x' x 40000 });
    is($ws->recv_type('pong')->{id}, 7, 'wss: a message larger than a record');
    $ws->close(1000);
    is(($ws->recv_close)[0], 1000, 'wss: closed');
    ok($ws->wait_eof, 'wss: and its end');
    is(Blockcast::WebSocket->connect(socket => tls(), port => $t->port(1), path => '/tokens', may_fail => 1)->status,
        401, 'wss: no token');
};


# What the access log tells of a connection, at its end.

sub ws_log { Blockcast::Test::slurp($t->prefix . '/ws.log') }

sub logged {
    my ($re) = @_;
    wait_for { ws_log() =~ /^$re$/m } 5;
    return ws_log() =~ /^($re)$/m ? $1 : 'not there';
}


subtest 'the access log' => sub {
    scalar try('/ws', origin => 'http://evil.example');

    my $ws = $t->ws('/tokens/ws', bearer($token{two}));
    $ws->recv_type('welcome');
    $ws->subscribe('gamma');
    $ws->subscribe('alpha');
    $ws->send_json({ type => 'unsubscribe', stream => 'gamma' });
    $ws->recv_type('unsubscribed');
    unlike(ws_log(), qr{\|alpha,gamma\|}, 'not before');
    $ws->close(1000);
    $ws->recv_close;
    $ws->drop;
    like(logged(qr{/tokens/ws\|101\|alpha,gamma\|.*}), qr{\|json\|4\|\d+\|1000\|dashboard$},
        'streams, protocol, frames, close code, whose token');
    unlike($t->access_log . $t->error_log, qr/\Q$token{two}\E/,
        'no log has a token of a header') or diag map { "$_\n" }
        grep { /\Q$token{two}\E/ } split /\n/, $t->access_log . $t->error_log;

    $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $ws->drop(reset => 1);
    like(logged(qr{/ws\|101\|-\|cbor\|.*}), qr{\|0\|\d+\|1006\|-$}, 'who went without a word: 1006');

    $ws = $t->ws('/ws', subprotocol => 'jsonrpc');
    $ws->close;
    $ws->recv_close;
    $ws->drop;
    like(logged(qr{/ws\|101\|-\|jsonrpc\|.*}), qr{\|1\|\d+\|1005\|-$}, 'an empty Close: 1005');

    $ws = $t->ws('/ws');
    $ws->send_frame(mask => 0);
    $ws->recv_close;
    $ws->drop;
    like(logged(qr{/ws\|101\|-\|json\|\d+\|\d+\|1002\|-}), qr/1002/, 'what the server closed with');

    like(logged(qr{/ws\|403\|.*}), qr{\|403\|-\|-\|-\|-\|-\|-$}, 'a refused one has none of these');
};

$t->stop;

done_testing();
