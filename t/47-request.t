#!/usr/bin/perl

# An idle client costs a kilobyte, for nginx's request is freed when the
# handshake is done. If this fails: it costs ten times as much again, or the
# access log, limit_conn and the other modules that look at a request when it
# ends say something else than they would of a request that was kept.

# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use Blockcast::Test;
use Blockcast::Watch qw(memory_of);

my @fields = qw(
    remote_addr request status http_user_agent http_referer uri args host
    request_uri request_method server_protocol scheme server_name cookie_who
    http_x_many chosen mapped sent_http_x_sent sent_http_upgrade arg_a
    http_connection remote_user blockcast_streams blockcast_protocol
    blockcast_close_code blockcast_frames_in blockcast_frames_out
    connection_requests content_type is_args query_string http_cookie
    proxy_add_x_forwarded_for limit_req_status server_port request_completion
);

my $format = join '|', map { "$_=\$$_" } @fields;

my $http = <<"EOF";
    blockcast_zone main 4m;
    map \$http_x_in \$mapped { default other; yes "is \$arg_a"; }
    log_format all escape=none '$format';
    log_format sizes '\$uri \$bytes_sent \$body_bytes_sent \$request_length \$request_time';
    limit_conn_zone \$binary_remote_addr zone=one:1m;
    limit_req_zone \$binary_remote_addr zone=req:1m rate=1000r/s;
    blockcast_stream s {
        blockcast_interval 200ms;
        blockcast_call c net.stats;
    }
EOF

my $server = <<'EOF';
    location = /ws { blockcast_websocket; }
    location = /echo { blockcast_echo; }
    location /logged {
        set $chosen "set $arg_a";
        limit_req zone=req burst=100 nodelay;
        add_header X-Sent "this too" always;
        access_log %%PREFIX%%/all.log all;
        access_log %%PREFIX%%/sizes.log sizes;
        blockcast_websocket;
    }
    location /elsewhere { rewrite ^/elsewhere/(.*)$ /logged/to-$1?a=rewritten last; }
    location /kept {
        set $chosen "set $arg_a";
        limit_req zone=req burst=100 nodelay;
        limit_conn one 1000;
        add_header X-Sent "this too" always;
        access_log %%PREFIX%%/all.log all;
        blockcast_websocket;
    }
    location = /one { limit_conn one 1; blockcast_websocket; }
    location = /auth { auth_request /yes; auth_request_set $chosen $upstream_http_x_who;
        access_log %%PREFIX%%/all.log all; blockcast_websocket; }
    location = /yes { internal; proxy_pass http://127.0.0.1:%%PORT%%/who; }
    location = /who { add_header X-Who "the asker"; return 204; }
    location = /mirrored { mirror /copy; blockcast_websocket; }
    location = /copy { internal; proxy_pass http://127.0.0.1:%%PORT%%/who; }
    location = /real { set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;
        access_log %%PREFIX%%/all.log all; blockcast_websocket; }
    location = /status { stub_status; }
EOF

my $t = Blockcast::Test->new(node => 1, http => $http, server => "set \$chosen -;\n$server");

my @headers = (
    ['User-Agent', 'a client/1.0 (of "quotes")'],
    ['Referer', 'http://page.example/a?b'],
    ['Cookie', 'who=somebody; other=1'],
    ['X-Many', 'one'],
    ['X-In', 'yes'],
    ['Authorization', 'Basic ' . 'dXNlcjpwYXNz'],
    ['X-Forwarded-For', '192.0.2.1'],
);

sub lines { my ($file) = @_; split /\n/, Blockcast::Test::slurp($t->prefix . "/$file") // '' }

# The line of a connection that subscribes, is served, and is closed with 1000.

my $line;

sub logged {
    my ($path, $file, %opt) = @_;
    my $before = () = lines($file);
    my $ws = $t->ws($path, headers => [@headers, @{ $opt{headers} // [] }]);

    is($ws->status, 101, "$path: connected") or return {};
    ok($ws->subscribe('s'), "$path: subscribed");
    ok($ws->recv_type('s'), "$path: served");
    is(scalar(() = lines($file)), $before, "$path: no line while it is open");
    $ws->close(1000);
    $ws->wait_eof(20);
    $ws->drop;
    ok(wait_for { (() = lines($file)) > $before }, "$path: a line when it has ended");

    return { map { split /=/, $_, 2 } split /\|/, (lines($file))[-1], -1 };
}


subtest 'the line of a connection that subscribes' => sub {
    $line = logged('/logged/here%20it?a=5&b=6', 'all.log');
    my %want = (
        remote_addr => '127.0.0.1', request => 'GET /logged/here%20it?a=5&b=6 HTTP/1.1', status => 101,
        http_user_agent => 'a client/1.0 (of "quotes")', http_referer => 'http://page.example/a?b',
        uri => '/logged/here it', args => 'a=5&b=6', request_uri => '/logged/here%20it?a=5&b=6',
        request_method => 'GET', server_protocol => 'HTTP/1.1', scheme => 'http', cookie_who => 'somebody',
        http_x_many => 'one', chosen => 'set 5', mapped => 'is 5', sent_http_x_sent => 'this too',
        sent_http_upgrade => 'websocket', arg_a => 5, remote_user => 'user', blockcast_streams => 's',
        blockcast_protocol => 'json', blockcast_close_code => 1000, connection_requests => 1,
        proxy_add_x_forwarded_for => '192.0.2.1, 127.0.0.1', limit_req_status => 'PASSED',
        is_args => '?', http_cookie => 'who=somebody; other=1', server_port => $t->port,
    );

    is($line->{$_}, $want{$_}, "freed request: \$$_") for sort keys %want;
    cmp_ok($line->{blockcast_frames_out}, '>=', 3, 'freed request: frames out');
    cmp_ok($line->{blockcast_frames_in}, '>=', 2, 'freed request: frames in');
};


# The same location with a module that keeps the request: the same line.

subtest 'the same location with a module that keeps the request' => sub {
    my $kept = logged('/kept/here%20it?a=5&b=6', 'all.log');

    s/kept/logged/g for values %$kept;
    is($kept->{$_}, $line->{$_}, "kept and freed agree: \$$_") for grep { !/^blockcast_frames/ } @fields;

    my ($sizes) = grep { m{^/logged} } lines('sizes.log');
    my ($uri, $sent, $body, $length, $took) = $sizes =~ m{^(.*) (\d+) (\d+) (\d+) ([\d.]+)$};

    cmp_ok($sent, '>', 300, "bytes of head and frames: $sent");
    cmp_ok($sent - $body, '>', 100, 'of which the head is no body: ' . ($sent - $body));
    cmp_ok($length, '>', 200, "length of the request: $length");
    cmp_ok($took, '<', 60, "seconds, from the handshake on: $took");

    my $rewritten = logged('/elsewhere/there?x=1', 'all.log');

    is($rewritten->{uri}, '/logged/to-there', 'rewritten: where it went');
    is($rewritten->{arg_a}, 'rewritten', 'rewritten: its arguments');
    is($rewritten->{request_uri}, '/elsewhere/there?x=1', 'rewritten: where it came from');

    is(logged('/auth', 'all.log')->{chosen}, 'the asker', 'auth_request_set is remembered');
    is(logged('/real', 'all.log', headers => [['X-Real-IP', '192.0.2.77']])->{remote_addr}, '192.0.2.77',
        'realip: the address at the end, too');

    # limit_conn counts a connection for as long as it is open

    my $first = $t->ws('/one');

    is($first->status, 101, 'limit_conn: the first one comes in');
    is($t->ws('/one', may_fail => 1)->status, 503, 'limit_conn: the second one does not');
    $first->close(1000);
    $first->wait_eof(20);
    $first->drop;
    ok(wait_for { $t->ws('/one', may_fail => 1)->status == 101 }, 'limit_conn: one may come when the first has gone');

    is($t->ws('/mirrored')->recv_type('welcome')->{type}, 'welcome', 'mirror: a subrequest in flight does no harm');
};


# Frames that came together with the handshake, and a head in large buffers

subtest 'frames that came together with the handshake' => sub {
    my $long = $t->ws('/echo', headers => [['X-Long', 'x' x 7000]]);

    $long->send_text('after a long head');
    is($long->recv_message, 'after a long head', 'a head of 7 KB');
    $long->close(1000);

    # stub_status counts an open WebSocket as being written, and no longer

    my $idle = $t->ws('/ws');
    my ($writing) = $t->get('/status')->{body} =~ /Writing: (\d+)/;

    $idle->close(1000);
    $idle->wait_eof(20);
    $idle->drop;

    ok(wait_for {
        my ($now) = $t->get('/status')->{body} =~ /Writing: (\d+)/;
        $now == $writing - 1 || $now == 1;
    }, "stub_status: $writing written with it, one less without");
};


# Memory: the growth of the worker by 600 idle subscribers

subtest 'the memory of an idle client' => sub {
    SKIP: {
        skip 'sanitizers have memory of their own', 1 if $ENV{BLOCKCAST_SANITIZE};

        my $own = sub {
            my ($worker) = $t->worker_pids;
            return memory_of($worker);
        };
        my $crowd = sub { map { my $ws = $t->ws('/ws'); $ws->subscribe('s'); $ws } 1 .. $_[0] };
        my @warm = $crowd->(200);
        my $start = $own->();
        my @clients = $crowd->(600);
        my $each = ($own->() - $start) * 1024 / (600);

        cmp_ok($each, '<', 2048, sprintf 'at most 2 KiB for an idle client: %.0f bytes', $each);
        $_->drop for @clients, @warm;
    }

    $t->stop;
};


# The line at the beginning, for those who want to see who is connected

subtest 'the line at the beginning, for those who want to see who is connected' => sub {
    $t = Blockcast::Test->new(node => 1, http => "$http\n    blockcast_access_log start;",
        server => "set \$chosen -;\n$server");

    my $ws = $t->ws('/logged/now?a=7', headers => \@headers);

    ok(wait_for { (() = lines('all.log')) == 1 }, 'blockcast_access_log start: a line when it has connected');
    like((lines('all.log'))[0], qr{request=GET /logged/now\?a=7 HTTP/1.1\|status=101}, 'it says who and what');
    $ws->subscribe('s');
    ok($ws->recv_type('s'), 'it is served');
    $ws->close(1000);
    $ws->wait_eof(5);
    sleep 0.3;
    is(scalar(() = lines('all.log')), 1, 'and no second line at the end');

    my $limited = $t->ws('/kept/now?a=7');

    ok(wait_for { (() = lines('all.log')) == 2 }, 'the same with a request that is kept');
    $limited->close(1000);
    $limited->wait_eof(5);
    sleep 0.3;
    is(scalar(() = lines('all.log')), 2, 'once');
};


$t->stop;

done_testing();
