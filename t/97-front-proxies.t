#!/usr/bin/perl

# Proxies that people have in front, as Debian has them, each with the few lines
# its manual has for a WebSocket: HAProxy, Apache, Varnish, Caddy, lighttpd,
# nginx. If this fails, a page behind one of them sees nothing, or what was, or
# in pieces and late, though it is right without.
# needs: proxies

use strict;
use warnings;

use Compress::Raw::Zlib;
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Ledger;
use Blockcast::Test;

my $json = JSON::PP->new->canonical->allow_nonref;
my $ledger = Blockcast::Ledger->new(rate => 20, page => 200);

my $t = Blockcast::Test->new(workers => 2, node => 1, start => 0,
    http => <<"EOF" . <<'EOF', server => <<'EOS');
    upstream ledger { server 127.0.0.1:$ledger->{port}; keepalive 8; }
EOF
    blockcast_zone main 16m;
    blockcast_drain 1s;
    keepalive_timeout 5s;

    blockcast_stream num {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_call c x.num;
    }
    blockcast_stream big {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_max_size 1m;
        blockcast_call c x.big;
    }
    blockcast_stream log {
        blockcast_interval 100ms;
        blockcast_always on;
        blockcast_node ledger;
        blockcast_call c ledger;
        blockcast_jq '{entries: .results.c}';
        blockcast_log entries key=id keep=5000;
    }
    blockcast_rpc_allow x.num;
EOF
    location = /ws { blockcast_websocket; blockcast_ping_interval 300ms; }
    location = /slow { blockcast_websocket; blockcast_ping_interval 20s; }
    location /events { blockcast_sse; }
    location /api/ { blockcast_api; }
    location = /api/health { blockcast_health; }
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

my $origin = $t->port;
my $apache = '/usr/lib/apache2/modules';


# How each is started: what belongs into its file, and the command. %F is the
# file, %D a folder of its own, %P its port.

my @proxies = (
    {
        name => 'HAProxy', binary => '/usr/sbin/haproxy',
        command => [qw(/usr/sbin/haproxy -db -f %F)],
        file => <<"EOF",
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1m
frontend page
    bind 127.0.0.1:%P
    default_backend gateway
backend gateway
    server one 127.0.0.1:$origin
EOF
    }, {
        name => 'Apache', binary => '/usr/sbin/apache2',
        command => [qw(/usr/sbin/apache2 -X -d %D -f %F)],
        file => <<"EOF",
ServerRoot %D
ServerName localhost
Listen 127.0.0.1:%P
PidFile %D/pid
DefaultRuntimeDir %D
User www-data
Group www-data
LoadModule mpm_event_module $apache/mod_mpm_event.so
LoadModule authz_core_module $apache/mod_authz_core.so
LoadModule proxy_module $apache/mod_proxy.so
LoadModule proxy_http_module $apache/mod_proxy_http.so
ErrorLog %D/error.log
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:$origin/ upgrade=websocket
EOF
    }, {
        name => 'Varnish', binary => '/usr/sbin/varnishd', caches => 1,
        command => [qw(/usr/sbin/varnishd -F -n %D/v -a 127.0.0.1:%P -f %F -s), 'malloc,16m'],
        file => <<"EOF",
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "$origin"; }
sub vcl_recv {
    if (req.http.upgrade ~ "(?i)websocket") {
        return (pipe);
    }
}
sub vcl_pipe {
    if (req.http.upgrade) {
        set bereq.http.upgrade = req.http.upgrade;
        set bereq.http.connection = req.http.connection;
    }
}
EOF
    }, {
        name => 'Caddy', binary => '/usr/bin/caddy',
        command => [qw(/usr/bin/caddy run --config %F --adapter caddyfile)],
        file => <<"EOF",
{
    admin off
    auto_https off
}
http://127.0.0.1:%P {
    reverse_proxy 127.0.0.1:$origin
}
EOF
    }, {
        name => 'lighttpd', binary => '/usr/sbin/lighttpd',
        command => [qw(/usr/sbin/lighttpd -D -f %F)],
        file => <<"EOF",
server.modules = ("mod_proxy")
server.document-root = "%D"
server.bind = "127.0.0.1"
server.port = %P
server.errorlog = "%D/error.log"
server.stream-response-body = 1
proxy.server = ("" => (("host" => "127.0.0.1", "port" => $origin)))
proxy.header = ("upgrade" => "enable")
EOF
    }, {
        name => 'nginx', binary => Blockcast::Test::nginx_binary(),
        command => [Blockcast::Test::nginx_binary(), qw(-p %D -c %F -e %D/error.log)],
        file => <<"EOF",
daemon off;
pid %D/nginx.pid;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:%P;
        location / {
            proxy_pass         http://127.0.0.1:$origin;
            proxy_http_version 1.1;
            proxy_set_header   Upgrade \$http_upgrade;
            proxy_set_header   Connection "upgrade";
            proxy_set_header   Host \$host;
            proxy_read_timeout 2m;
        }
    }
}
EOF
    },
);


sub start {
    my ($p) = @_;

    $p->{port} = Blockcast::Test::free_port();
    $p->{dir} = "$t->{prefix}/$p->{name}";
    mkdir $p->{dir} or die "$p->{dir}: $!\n";
    mkdir "$p->{dir}/$_" for qw(client_body_temp v logs);
    chmod 0777, $p->{dir};

    my $file = "$p->{dir}/conf";
    my %with = ('%P' => $p->{port}, '%D' => $p->{dir}, '%F' => $file);

    open my $f, '>', $file or die "$file: $!\n";
    print $f $p->{file} =~ s/(%[PDF])/$with{$1}/gr;
    close $f;

    my @command = map { s/(%[PDF])/$with{$1}/gr } @{ $p->{command} };

    $p->{pid} = fork // die "fork: $!\n";

    if ($p->{pid} == 0) {
        setpgrp;
        @ENV{qw(HOME XDG_DATA_HOME XDG_CONFIG_HOME)} = ($p->{dir}) x 3;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$p->{dir}/out" or exit 127;
        open STDERR, '>&', \*STDOUT;
        exec @command or exit 127;
    }

    return wait_for {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->{port})
    } 20;
}


sub stop {
    my ($p) = @_;

    # some wait for their clients, which is nothing that this tests
    kill TERM => $p->{pid};
    my $gone = wait_for { waitpid($p->{pid}, 1) == $p->{pid} } 0.3;
    kill KILL => -$p->{pid};
    waitpid $p->{pid}, 0 unless $gone;
}


# A client through the proxy, as a page of it would come.

sub ws {
    my ($p, $path, %opt) = @_;

    return Blockcast::WebSocket->connect(port => $p->{port}, path => $path,
        origin => "http://127.0.0.1:$p->{port}",
        headers => [@{ $opt{headers} // [] }], may_fail => 1);
}


# A request of a page of the proxy's.

sub get {
    my ($p, $path, %opt) = @_;

    return $t->get($path, port => $p->{port}, timeout => 30, %opt,
        headers => { Host => "127.0.0.1:$p->{port}", %{ $opt{headers} // {} } });
}


my $big = 0;

sub new_big {
    my $digits = join '', map { chr(97 + int rand 26) } 1 .. 1000;

    $big++;
    $t->set(big => $json->encode({ n => $big, text => $digits x 300 }));
}


# a method that is not there when it is asked for is asked for again in a minute

$t->set(num => 1);
new_big();
$t->start;
$t->becomes(num => '1');

for my $p (@proxies) {
    subtest $p->{name} => sub {
        ok(-x $p->{binary}, "there is $p->{binary}") or return;
        ok(start($p), 'it listens') or do {
            diag(Blockcast::Test::slurp("$p->{dir}/out"));
            stop($p);
            return;
        };

        # A WebSocket.

        my $ws = ws($p, '/ws');
        is($ws->status, 101, 'a handshake of its own page') or diag($ws->body);

        SKIP: {
            skip 'no WebSocket', 1 if $ws->status != 101;

            my $value = 1000 + int rand 1000;
            $ws->subscribe('num');
            $ws->recv_type('num');

            for my $v ($value .. $value + 2) {
                $t->set(num => $v);
                my $m = wait_for { my $m = $ws->recv_type('num'); $m && $m->{data} == $v && $m };
                ok($m, "the node's $v comes");
            }

            new_big();
            $ws->send_json({ type => 'subscribe', stream => 'big' });
            my $m = wait_for { my $m = $ws->recv_type('big'); $m && $m->{data}{n} == $big && $m };
            is(length($m->{data}{text} // ''), 300_000, 'a message of 300 KB comes whole');

            my $silent = Blockcast::WebSocket->connect(port => $p->{port}, path => '/ws',
                origin => "http://127.0.0.1:$p->{port}", auto_pong => 0);
            my $f = wait_for { my $f = $silent->recv; $f && $f->{opcode} == 9 && $f };
            ok($f, 'the pings of the server come through');
            $silent->drop;

            $ws->send_json({ type => 'ping' });
            ok($ws->recv_type('pong'), 'its own are answered');

            my $deflate = ws($p, '/slow', headers => [['Sec-WebSocket-Extensions',
                'permessage-deflate']]);
            like($deflate->header('Sec-WebSocket-Extensions') // '', qr/permessage-deflate/,
                'it is agreed that messages are deflated');
            $deflate->send_json({ type => 'subscribe', stream => 'big' });
            my $text = '';
            my $inflate = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15);
            wait_for {
                my $f = $deflate->recv or return 1;
                my ($in, $out) = ($f->{payload}, '');
                if ($f->{rsv}) {
                    $in .= "\0\0\xff\xff";
                    $inflate->inflate($in, $out);
                } else {
                    $out = $in;
                }
                $text = $out if $out =~ /"type":"big"/;
                length $text;
            };
            is(length(eval { $json->decode($text)->{data}{text} } // ''), 300_000,
                'a deflated one is what it was');
            $deflate->drop;

            # A log that is left and taken up again.

            my $log = ws($p, '/slow');
            my $got = 0;
            my $subscribe = sub {
                my ($ws, %with) = @_;
                $ws->send_json({ type => 'subscribe', stream => 'log', %with });
                my $first;
                wait_for {
                    my $m = $ws->recv_type('log') or return 1;
                    $first //= $m;
                    $got = $m;
                    $m->{seq} > $first->{seq};
                };
                return $first;
            };
            my $first = $subscribe->($log);
            my $last = $got->{data}{entries}[-1]{id};
            $log->close(1000);
            is(($log->recv_close)[0], 1000, 'a Close is answered, by its code');

            $log = ws($p, '/slow');
            $first = $subscribe->($log, since => $got->{seq}, epoch => $got->{epoch});
            is($first->{data}{entries}[0]{id}, $last + 1, 'a log goes on where it was left');
            $log->drop;

            # The end that the server makes.

            my $x = ws($p, '/slow');
            $x->subscribe('num');
            $t->reload;
            is(($x->recv_close(20))[0] // 'none', 1012, 'a reload is told as such');
        }

        my $foreign = Blockcast::WebSocket->connect(port => $p->{port}, path => '/ws',
            origin => 'http://other.example', may_fail => 1);
        is($foreign->status, 403, 'a page of another place is refused');

        # Events, while they happen.

        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p->{port})
            or die "no connection to $p->{name}\n";
        $s->syswrite("GET /events?streams=num HTTP/1.1\r\nHost: 127.0.0.1:$p->{port}\r\n"
            . "Accept: text/event-stream\r\n\r\n");
        my $buf = '';
        my $awaits = sub {
            my ($pattern) = @_;
            wait_for {
                return 1 if $buf =~ $pattern;
                vec(my $r = '', fileno $s, 1) = 1;
                return unless select $r, undef, undef, 0.5;
                sysread $s, $buf, 65536, length $buf or die "the events ended: $buf\n";
                $buf =~ $pattern;
            };
        };

        for my $v (5000 .. 5002) {
            $t->set(num => $v);
            ok($awaits->(qr/"data":$v,/), "an event while the stream is open: $v");
        }
        like($buf, qr/^HTTP\/1\.1 200/, 'its status');
        my ($id) = $buf =~ /^id: (\S+)/m;
        ok($id, 'it has ids');
        close $s;

        # REST: what is asked for now is what is now.

        for my $v (6000 .. 6003) {
            $t->set(num => $v);
            $t->becomes(num => $v);
            my $r = get($p, '/api/streams/num');
            is(eval { $json->decode($r->{body})->{data} } // $r->{body}, $v,
                "REST has the newest: $v");
        }

        my $r = get($p, '/api/streams/num');
        my $etag = $r->{headers}{etag};
        ok($etag, 'there is an ETag');
        my $again = get($p, '/api/streams/num',
            headers => { 'If-None-Match' => $etag });
        is($again->{status}, 304, 'and it is known again');

        my $length = length(get($p, '/api/streams/big')->{body});
        cmp_ok($length, '>', 300_000, '300 KB by REST');

        is(get($p, '/api/health')->{status}, 200, 'health');

        # Long polling.

        my $state = $json->decode(get($p, '/api/streams/num')->{body});
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            sleep 0.5;
            $t->set(num => 7000);
            POSIX::_exit(0);
        }
        $r = get($p, "/api/streams/num?after=$state->{seq}&epoch=$state->{epoch}&wait=20s");
        waitpid $pid, 0;
        is(eval { $json->decode($r->{body})->{data} } // $r->{body}, 7000,
            'a request that waits is answered with what comes');

        stop($p);
    };
}

$t->stop;
$ledger->stop if $ledger->can('stop');
done_testing();
