#!/usr/bin/perl

# What stands before the WebSocket and around the node's location is the user's
# own nginx.conf: if this fails, TLS, a password, a limit, a rewrite, another
# way to reach the node breaks the streams, or is broken by them.

# lane: waits

use strict;
use warnings;

use IO::Socket::SSL ();
use MIME::Base64 ();
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Ledger;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(big => 300_000);
my $spare = Blockcast::Ledger->new;


my ($unix_path, $own, $unix);        # $unix: it ends when it is forgotten

sub node_streams {
    my ($interval) = @_;

    return <<'HTTP' =~ s/300ms/$interval/gr;
    blockcast_zone main 8m;
    blockcast_stream c {
        blockcast_interval 300ms;
        blockcast_call count count timeout=2s;
    }
    blockcast_stream big {
        blockcast_interval 300ms;
        blockcast_max_size 512k;
        blockcast_call big big timeout=2s;
    }
    blockcast_stream none {
        blockcast_interval 300ms;
        blockcast_always on;
        blockcast_call none none timeout=2s;
    }
HTTP
}


# The next message with data: its stream, the length of the data, the seq. Large
# ones take the JSON parser in Perl longer than the stream's interval.

sub data {
    my ($ws, $timeout, $stream) = @_;
    my $end = time + $timeout;

    while (defined(my $text = $ws->recv_message($end - time))) {
        my ($type, $data, $seq) = $text =~
            /^\{"type":"(\w+)","data":("?[^"]*"?),"timestamp":\d+,"seq":(\d+)\}$/
            or next;
        return ($type, length($data) - ($data =~ /^"/ ? 2 : 0), $seq)
            if !$stream || $stream eq $type;
    }

    return;
}


subtest 'the node: the same three streams, asked in every way nginx knows' => sub {
    $unix_path = "/tmp/blockcast-$$.sock";
    $unix = Blockcast::Ledger->new(unix => $unix_path);
    my $dead = Blockcast::Test::free_port();

    $own = 'proxy_http_version 1.1; proxy_set_header Connection "";';

    my @ways = (
        ['no keepalive, HTTP/1.0', '', 'proxy_pass http://node/;'],
        ['keepalive', 'keepalive 4;', "$own proxy_pass http://node/;"],
        ['buffering off', 'keepalive 4;', "$own proxy_buffering off; send_timeout 1s; proxy_pass http://node/;"],
        ['no temporary file', 'keepalive 4;', "$own proxy_max_temp_file_size 0; proxy_buffers 2 4k; proxy_busy_buffers_size 4k; proxy_pass http://node/;"],
        ['cache', 'keepalive 4;', "$own proxy_cache cache; proxy_cache_methods POST; proxy_cache_key \$request_body; proxy_cache_valid 200 1s; proxy_pass http://node/;"],
        ['ignore_client_abort', 'keepalive 4;', "$own proxy_ignore_client_abort on; proxy_pass http://node/;"],
        ['request buffering off', '', "$own proxy_request_buffering off; proxy_pass http://node/;"],
        ['password, allow, limits, log', '', "auth_basic off; deny all; limit_conn one 50; limit_req zone=req burst=500 nodelay; log_subrequest on; access_log %%PREFIX%%/node.log; proxy_pass http://node/;"],
        ['error_page', '', "error_page 502 504 =200 /other; $own proxy_pass http://node/;"],
        ['error_page to a name', '', "proxy_intercept_errors on; error_page 404 502 504 = \@other; $own proxy_pass http://127.0.0.1:$dead/;"],
        ['rewrite', '', "rewrite ^ /elsewhere break; $own proxy_pass http://node;"],
        ['if', '', "if (\$request_method = POST) { set \$a 1; } if (\$a) { proxy_pass http://node; } $own"],
        ['variable, no upstream block', '', "set \$n 127.0.0.1:$node->{port}; $own proxy_pass http://\$n/;"],
        ['filters', '', "gzip on; gzip_types *; gunzip on; sub_filter_types *; sub_filter '\"result\"' '\"result\"'; sub_filter_once off; charset koi8-r; add_after_body /after; ssi on; $own proxy_pass http://node/;"],
        ['failover', "server 127.0.0.1:$dead max_fails=1 fail_timeout=2s;", "$own proxy_next_upstream error timeout non_idempotent; proxy_pass http://node/;"],
        ['mirror', '', "mirror /mirror; $own proxy_pass http://node/;"],
        ['limit_rate', '', "limit_rate 10k; proxy_limit_rate 4m; $own proxy_pass http://node/;"],
        ['limit_req that delays', '', "limit_req zone=twenty burst=20; $own proxy_pass http://node/;"],
        ['aio', '', "aio threads; aio_write on; output_buffers 1 4k; $own proxy_pass http://node/;"],
    );

    for my $way (@ways) {
        my ($name, $upstream, $location) = @$way;

        my $t = Blockcast::Test->new(workers => 1, http => node_streams('150ms') . <<"HTTP", server => <<"SERVER");
    proxy_cache_path %%PREFIX%%/tmp/cache keys_zone=cache:1m;
    limit_conn_zone \$binary_remote_addr zone=one:1m;
    limit_req_zone \$binary_remote_addr zone=req:1m rate=500r/s;
    limit_req_zone \$binary_remote_addr zone=twenty:1m rate=20r/s;
    upstream node { server 127.0.0.1:$node->{port}; $upstream }
HTTP
    location /ws { blockcast_websocket; }
    location /api { blockcast_api; }
    location /status { stub_status; }
    location = /other { $own proxy_pass http://node/; }
    location \@other { $own proxy_pass http://node; }
    location = /after { return 200 ''; }
    location = /mirror { internal; proxy_pass http://node/; }
    location = /_node { blockcast_node; $location }
SERVER

        my $ws = $t->ws('/ws');
        $ws->subscribe($_) for qw(c big);

        my (%got, %size);
        my $end = time + 20 * slow();

        while (time < $end && (($got{c} // 0) < 4
               || ($got{big} // 0) < 4 && $name ne 'error_page to a name'))
        {
            my ($type, $len) = data($ws, 1) or next;
            $got{$type}++;
            $size{$type} = $len;
        }

        cmp_ok($got{c} // 0, '>=', $name eq 'cache' ? 2 : 4, "$name: the stream runs");

        # the other location is not the node's: replies are bounded as nginx does
        is($size{big}, 300_000, "$name: a large reply is whole")
            unless $name eq 'error_page to a name';

        my ($none) = grep { $_->{name} eq 'none' } @{ $t->get_json('/api/streams')->{streams} };
        like($none->{error}, qr/method not found/, "$name: an error is the node's own")
            unless $name eq 'error_page to a name';

        my ($active) = $t->get('/status')->{body} =~ /Active connections: (\d+)/;
        is($active, 2, "$name: nginx counts its clients right");

        $ws->drop;
        $t->stop("$name: stopped with no alert");
    }
};


subtest 'more than one node; one over a Unix socket' => sub {
    {
        my $first = Blockcast::Ledger->new;

        my $t = Blockcast::Test->new(workers => 2, http => node_streams('300ms') . <<"HTTP", server => <<"SERVER");
    upstream node {
        server 127.0.0.1:$first->{port} max_fails=1 fail_timeout=1s;
        server 127.0.0.1:$spare->{port} backup;
        keepalive 4;
    }
    blockcast_stream u {
        blockcast_node unix;
        blockcast_interval 300ms;
        blockcast_call count count;
    }
HTTP
    location /ws { blockcast_websocket; }
    location = /_unix { blockcast_node unix; proxy_pass http://unix:$unix_path:/; }
    location = /_node {
        blockcast_node;
        $own
        proxy_next_upstream error timeout non_idempotent;
        proxy_pass http://node/;
    }
SERVER

        my $ws = $t->ws('/ws');
        $ws->subscribe($_) for qw(c u);
        ok($ws->recv_type('u'), 'a node behind a Unix socket');
        ok($ws->recv_type('c'), 'the first of two nodes');

        $first->stop;
        my $t0 = time;
        my $m;
        for (1 .. 4) { $m = $ws->recv_type('c'); }
        cmp_ok(time - $t0, '<', 6 * slow(), 'it dies: the second one is asked, without a pause');
        cmp_ok(scalar(() = $spare->calls('count')), '>', 0, 'it really was');
        $ws->drop;
        $t->stop;
    }
};


my ($key, $cert, $t);

sub delivers {
    my ($name, $path, %opt) = @_;

    my $ws = eval { $t->ws($path, %opt) };
    ok($ws, "$name: connected") or diag($@), return;
    ok($ws->subscribe('c'), "$name: subscribed");
    ok($ws->recv_type('c') && $ws->recv_type('c'), "$name: data comes");

    return $ws;
}


sub refused {
    my ($name, $status, $path, %opt) = @_;
    is($t->ws($path, may_fail => 1, %opt)->status, $status, "$name: $status");
}


subtest 'in front of the WebSocket' => sub {
    ($key, $cert) = ("/tmp/blockcast-$$.key", "/tmp/blockcast-$$.crt");
    system("openssl req -x509 -newkey rsa:2048 -nodes -keyout $key -out $cert "
        . '-days 2 -subj /CN=localhost >/dev/null 2>&1') == 0 or die "openssl\n";

    $t = Blockcast::Test->new(workers => 1, http => node_streams('300ms') . <<"HTTP", server => <<"SERVER");
    upstream node { server 127.0.0.1:$node->{port}; keepalive 4; }
    limit_conn_zone \$binary_remote_addr zone=one:1m;
    limit_req_zone \$binary_remote_addr zone=req:1m rate=1r/m;
    log_format ws '\$status \$request_uri \$bytes_sent \$request_time';

    server {
        listen 127.0.0.1:%%PORT1%% ssl http2;
        ssl_certificate $cert;
        ssl_certificate_key $key;
        location /ws { blockcast_websocket; }
        location /quiet { blockcast_ping_interval 1h; blockcast_send_timeout 3s; blockcast_websocket; }
        location /api { blockcast_api; }
    }
HTTP
    location /ws { blockcast_websocket; access_log %%PREFIX%%/ws.log ws; }
    location /echo { blockcast_echo; }
    location /api { blockcast_api; }
    location /status { stub_status; }
    location /basic { auth_basic x; auth_basic_user_file %%PREFIX%%/htpasswd; blockcast_websocket; }
    location /request { auth_request /allowed; blockcast_websocket; }
    location /refused { auth_request /denied; blockcast_websocket; }
    location = /allowed { return 200; }
    location = /denied { return 403; }
    location /denied/ { deny all; blockcast_websocket; }
    location /conn { limit_conn one 2; blockcast_websocket; }
    location /req { limit_req zone=req; blockcast_websocket; }
    location /old { rewrite ^ /ws last; }
    location /try { try_files /nothing /ws; }
    location /rate { limit_rate 100; blockcast_websocket; }
    location /mirrored {
        mirror /mirror;
        blockcast_ping_interval 600ms;
        blockcast_pong_timeout 600ms;
        blockcast_websocket;
    }
    location = /mirror { internal; proxy_pass http://127.0.0.1:$node->{port}/; }
    location /if { if (\$arg_no) { return 410; } blockcast_websocket; }
    location = /_node { blockcast_node; $own proxy_pass http://node/; }
SERVER

    open my $fh, '>', $t->prefix . '/htpasswd' or die;
    print $fh "u:{PLAIN}p\n";
    close $fh;

    refused('no password', 401, '/basic');
    delivers('password', '/basic', headers => [[Authorization => 'Basic '
        . MIME::Base64::encode_base64('u:p', '')]]);
    delivers('auth_request', '/request');
    refused('auth_request says no', 403, '/refused');
    refused('deny', 403, '/denied/');

    {
        my @two = map { delivers("limit_conn, number $_", '/conn') } 1, 2;
        refused('limit_conn, one too many', 503, '/conn');
        $two[0]->drop(reset => 1);
        my $again = wait_for { my $ws = $t->ws('/conn', may_fail => 1);
            $ws->status == 101 } 5;
        ok($again, 'one leaves: there is room again');
    }

    delivers('limit_req', '/req');
    refused('limit_req, one too many', 503, '/req');
    delivers('rewrite', '/old');
    delivers('try_files', '/try');
    delivers('limit_rate', '/rate');
    delivers('if', '/if');
    refused('if that returns', 410, '/if?no=1');

    {
        my $ws = delivers('mirror', '/mirrored', auto_pong => 0);
        my ($code) = $ws->recv_close(5 * $slow);
        is($code, 1001, 'mirror: who does not answer pings is closed');
    }

    {
        my $ws = delivers('access_log', '/ws');
        $ws->close(1000);
        $ws->wait_eof;
        my $line = wait_for {
            Blockcast::Test::slurp($t->prefix . '/ws.log') =~ m{^101 /ws \d{3,} }m } 3;
        ok($line, 'the access log has a line with the bytes');
    }
};


sub tls {
    my (%opt) = @_;
    return IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(1),
        SSL_verify_mode => 0, %opt) // die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
}


subtest 'TLS' => sub {
    {
        my $ws = delivers('wss://', '/ws', socket => tls());
        $ws->subscribe('big');
        is((data($ws, 10, 'big'))[1], 300_000, 'wss://: a message of many records');
        $ws->close(1000);
        is(($ws->recv_close)[0], 1000, 'wss://: the Close comes back');
        ok($ws->wait_eof, 'wss://: and the connection ends');
    }

    # a reader that is slower than the stream: it gets newer ones, whole ones

    {
        my $raw = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port(1),
            Proto => 'tcp', Sockopts => [[Socket::SO_RCVBUF(), 4096]]);
        my $tls = IO::Socket::SSL->start_SSL($raw, SSL_verify_mode => 0)
            or die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
        my $ws = $t->ws('/quiet', socket => $tls);
        $ws->subscribe('big');

        sleep 2.5;
        my ($n, $whole, $last) = (0, 0, 0);
        my $t0 = time;

        while ($n < 6 && time - $t0 < 20 * $slow) {
            my (undef, $len, $seq) = data($ws, 3 * $slow, 'big') or last;
            $n++;
            $whole++ if $len == 300_000 && $seq > $last;
            $last = $seq;
            sleep 0.8;
        }

        is($n, 6, 'wss://, a slow reader: is not cut off');
        is($whole, 6, 'wss://, a slow reader: every message is whole, seq grows');
        unlike($t->error_log, qr/bad write retry|SSL_write\(\) failed/, 'and OpenSSL has no complaint');
        $ws->drop;
    }
};


subtest 'HTTP/2 has no Upgrade' => sub {
    SKIP: {
        my $curl = `curl --version`;
        skip 'no curl with HTTP/2', 2 unless $curl =~ /HTTP2/;

        my $url = 'https://127.0.0.1:' . $t->port(1);
        is(`curl -sk --http2 -o /dev/null -w '%{http_code} %{http_version}' $url/api/streams`,
            '200 2', 'REST over HTTP/2');
        is(`curl -sk --http2 -o /dev/null -w '%{http_code} %{http_version}' $url/ws`,
            '426 2', 'a WebSocket address over HTTP/2');
    }

    my ($active) = $t->get('/status')->{body} =~ /Active connections: (\d+)/;
    my $one = wait_for { $t->get('/status')->{body} =~ /Active connections: 1 / } 5;
    ok($one, 'no connection is left over') or diag($t->get('/status')->{body});
    is($t->get_json('/api/health')->{workers}[0]{connections}, 0, 'nor counted');

    $t->stop;
    unlink $key, $cert, $unix_path;
};

done_testing();
