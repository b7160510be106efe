#!/usr/bin/perl

# Our directives in every kind of block of nginx. If this fails, an "if" for a
# CORS header or a limit_except beside an endpoint kills the worker with all its
# clients, or answers as if the endpoint were not there.

use strict;
use warnings;

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use Blockcast::Test;

# What each endpoint answers to a plain GET; "upgrade" where a WebSocket opens.

my %endpoint = (
    websocket => { directive => 'blockcast_websocket;', status => 426, like => qr/WebSocket address/, upgrade => \&talk },
    echo      => { directive => 'blockcast_echo;', status => 426, like => qr/WebSocket address/, upgrade => \&echo },
    sse       => { directive => 'blockcast_sse alpha beta;', status => 200, like => qr/"type":"alpha"/, endless => 1 },
    api       => { directive => 'blockcast_api;', status => 200, like => qr/"name":"alpha".*"name":"beta"/ },
    rest      => { directive => 'blockcast_rest alpha;', status => 200, like => qr/"tps"/ },
    health    => { directive => 'blockcast_health;', status => 200, like => qr/"status":"ok"/ },
    metrics   => { directive => 'blockcast_metrics;', status => 200, like => qr/^blockcast_info\{/m },
    poke      => { directive => 'blockcast_poke;', status => 405, like => qr/POST is/ },
);

# The kinds of block: a configuration in which PATH answers as the endpoint
# DIRECTIVE does when the request has "X-Try: 1". OTHER is another address.

my @kind = (
    [exact => 'location = PATH { DIRECTIVE }'],
    [prefix => 'location PATH { DIRECTIVE }'],
    [caret => 'location ^~ PATH { DIRECTIVE }'],
    [regex => 'location ~ ^PATH$ { DIRECTIVE }'],
    [nocase => 'location ~* ^PATH$ { DIRECTIVE }'],
    [nested => 'location PATH { location = PATH { DIRECTIVE } }'],
    [nested_deep => 'location ^~ PATH { location ~ ^PATH { location ~ PATH$ { DIRECTIVE } } }'],
    [nested_regex => 'location PATH { location ~ ^PATH$ { DIRECTIVE } }'],
    [nested_other => 'location PATH { blockcast_health; location = PATH { DIRECTIVE } }'],
    [nested_in_echo => 'location PATH { blockcast_echo; location = PATH { DIRECTIVE } }'],
    [nested_bare => 'location PATH { DIRECTIVE location = PATH/inside { return 204; } }'],

    [if_origin => 'location = PATH { if ($http_origin) { add_header X-If 1; } DIRECTIVE }', header => 1],
    [if_before => 'location = PATH { if ($http_x_try) { add_header X-If 1; } DIRECTIVE }', header => 1],
    [if_after => 'location = PATH { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }', header => 1],
    [if_empty => 'location = PATH { DIRECTIVE if ($http_x_try) { } }'],
    [if_set => 'location = PATH { DIRECTIVE if ($http_x_try) { set $x 1; } }'],
    [if_no => 'location = PATH { DIRECTIVE if ($http_x_no) { return 403; } }'],
    [if_twice => 'location = PATH { if ($http_x_try) { set $x 1; } if ($http_x_try) { add_header X-If 1; } DIRECTIVE }', header => 1],
    [if_regex => 'location ~ ^PATH$ { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }', header => 1],
    [if_break => 'location = PATH { DIRECTIVE if ($http_x_try) { break; } }'],
    [if_rewrite_break => 'location = PATH { DIRECTIVE if ($http_x_try) { rewrite ^ /streams break; } }'],
    [if_gzip => 'location = PATH { DIRECTIVE if ($http_x_try) { gzip on; } }'],

    [inside_if => 'location = PATH { if ($http_x_try) { DIRECTIVE } }'],
    [inside_if_bare => 'location = PATH { if ($http_x_try) { DIRECTIVE } if ($http_x_try) { add_header X-If 1; } }'],
    [inside_if_other => 'location = PATH { blockcast_health; if ($http_x_try) { DIRECTIVE } }'],
    [inside_if_other_bare => 'location = PATH { blockcast_metrics; if ($http_x_try) { DIRECTIVE } if ($http_x_try) { add_header X-If 1; } }'],
    [inside_if_echo_bare => 'location = PATH { blockcast_echo; if ($http_x_try) { DIRECTIVE } if ($http_x_try) { set $x 1; } }'],
    [inside_if_two => 'location = PATH { if ($http_x_no) { ANOTHER } if ($http_x_try) { DIRECTIVE } if ($http_x_try) { set $x 1; } }'],
    [inside_if_proxy => 'location = PATH { proxy_pass http://127.0.0.1:1; if ($http_x_try) { DIRECTIVE } }'],

    [except_get => 'location = PATH { DIRECTIVE limit_except GET { deny all; } }'],
    [except_post => 'location = PATH { DIRECTIVE limit_except POST { allow all; } }'],
    [except_empty => 'location = PATH { limit_except POST { } DIRECTIVE }'],
    [except_regex => 'location ~ ^PATH$ { limit_except POST PUT { allow all; } DIRECTIVE }'],
    [except_if => 'location = PATH { DIRECTIVE limit_except POST { allow all; } if ($http_x_try) { add_header X-If 1; } }'],

    [error_named => 'location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE }'],
    [error_uri => 'location = PATH { error_page 418 = OTHER; return 418; } location = OTHER { internal; DIRECTIVE }'],
    [error_named_if => 'location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }', header => 1],
    [error_named_except => 'location = PATH { error_page 418 = @NAME; return 418; } location @NAME { DIRECTIVE limit_except POST { allow all; } }'],
    [try_named => 'location = PATH { try_files /none @NAME; } location @NAME { DIRECTIVE }'],
    [try_uri => 'location = PATH { try_files /none OTHER; } location = OTHER { internal; DIRECTIVE }'],
    [rewrite_last => 'location = PATH { rewrite ^ OTHER last; } location = OTHER { DIRECTIVE }'],
    [rewrite_internal => 'location = PATH { rewrite ^ OTHER last; } location = OTHER { internal; DIRECTIVE }'],
    [rewrite_break => 'location = PATH { rewrite ^ /streams break; DIRECTIVE }'],
    [rewrite_if_last => 'location = PATH { if ($http_x_try) { rewrite ^ OTHER last; } } location = OTHER { DIRECTIVE if ($http_x_try) { add_header X-If 1; } }', header => 1],
    [server_if => 'if ($uri = PATH) { rewrite ^ OTHER last; } location = OTHER { DIRECTIVE }'],
    [server_rewrite => 'rewrite ^PATH$ OTHER last; location = OTHER { DIRECTIVE }'],
);

# Blocks with an answer of their own.

my @own = (
    [denied => 'location = PATH { DIRECTIVE limit_except POST { deny all; } }', 403],
    [internal => 'location = PATH { internal; DIRECTIVE }', 404],
    [nested_none => 'location PATH { DIRECTIVE location = PATH { } }', 404],
    [if_return => 'location = PATH { DIRECTIVE if ($http_x_try) { return 410; } }', 410],
    [if_proxy => 'location = PATH { DIRECTIVE if ($http_x_try) { proxy_pass http://127.0.0.1:%%PORT1%%; } }', 203],
    [except_proxy => 'location = PATH { DIRECTIVE limit_except POST { proxy_pass http://127.0.0.1:%%PORT1%%; } }', 203],
    [unclear => 'location = PATH { if ($http_x_try) { DIRECTIVE } if ($http_x_no) { DIRECTIVE } if ($http_x_try) { set $x 1; } }', 500],
);

sub block {
    my ($text, $kind, $name) = @_;

    $text =~ s/ANOTHER/$endpoint{$name eq 'health' ? 'metrics' : 'health'}{directive}/g;
    $text =~ s/DIRECTIVE/$endpoint{$name}{directive}/g;
    $text =~ s{PATH}{path($kind, $name)}ge;
    $text =~ s{OTHER}{path("$kind-other", $name)}ge;
    $text =~ s/NAME/$kind\_$name/g;

    return "        $text\n";
}

# in a regex or a named location an API goes by the end of the path

sub path { return "/$_[0]/$_[1]" . ($_[1] eq 'api' ? '/streams' : '') }

my @endpoints = sort keys %endpoint;
my $server = "        rewrite_log off;\n        set \$x 0;\n";

for my $k (@kind, @own) {
    $server .= block($k->[1], $k->[0], $_) for @endpoints;
}

# Nodes: each has a stream, and a location of another kind.

my %node = (
    exact    => 'location = /n-exact { NODE }',
    prefix   => 'location /n-prefix { NODE }',
    caret    => 'location ^~ /n-caret { NODE }',
    nested   => 'location /n { location = /n/nested { NODE } }',
    if       => 'location = /n-if { if ($request_method = POST) { set $x 1; } NODE }',
    except   => 'location = /n-except { blockcast_node except; proxy_pass http://node/; proxy_set_header Host localhost; limit_except GET { allow all; } }',
    named    => 'location = /n-named { blockcast_node named; error_page 418 = @n; return 418; } location @n { PASS }',
    if_pass  => 'location = /n-if-pass { blockcast_node if_pass; proxy_set_header Host localhost; if ($request_method = POST) { rewrite ^ / break; proxy_pass http://node; } }',
);

my $pass = 'rewrite ^ / break; proxy_pass http://node; proxy_set_header Host localhost; proxy_http_version 1.1; proxy_set_header Connection "";';
my $streams = '';

for my $name (sort keys %node) {
    (my $text = $node{$name}) =~ s/NODE/blockcast_node $name; PASS/;
    $text =~ s/PASS/$pass/;
    $server .= "        $text\n";
    $streams .= "    blockcast_stream at_$name { blockcast_node $name; blockcast_interval 200ms; blockcast_call c net.stats; }\n";
}

my $t = Blockcast::Test->new(workers => 1, node => { rate_limit => 1000000 }, worker_connections => 4096, http => <<"HTTP", server => $server . <<'SERVER');
    blockcast_zone main 16m;
    variables_hash_max_size 4096;
    upstream node { server %%NODE%%; keepalive 8; }
    server { listen 127.0.0.1:%%PORT1%%; location / { return 203 "another server\\n"; } }
    blockcast_stream alpha { blockcast_node exact; blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
    blockcast_stream beta { blockcast_node exact; blockcast_interval 200ms; blockcast_stale 60s; blockcast_always on; blockcast_call c net.stats; }
$streams
HTTP
        location ~ ^/regex-sse/ { blockcast_sse alpha beta; }
        location /api/ { blockcast_api; }
        location = /error-page { error_page 418 /error-page-ws; return 418; }
        location = /error-page-ws { blockcast_websocket; }
        location = /error-page2 { error_page 418 /error-page-sse; return 418; }
        location = /error-page-sse { blockcast_sse; }
        location = /fresh { blockcast_rest at_if; if ($http_x_try) { set $x 1; } }
        location /echo-in-ws { blockcast_websocket; location = /echo-in-ws { blockcast_echo; } }
        location = /post-action { post_action /post-action-ws; return 200 "before"; }
        location = /post-action-ws { blockcast_websocket; }
        location = /post-action2 { post_action /post-action-sse; return 200 "before"; }
        location = /post-action-sse { blockcast_sse; }
SERVER

my @try = (['X-Try', 1]);

sub talk {
    my ($ws) = @_;

    my $welcome = $ws->recv_json // return 'no welcome';
    $ws->send_json({ type => 'subscribe', stream => 'alpha' });
    my $m = $ws->recv_type('alpha') // return 'no data';
    return defined $m->{data}{tps} ? '' : 'no tps';
}

sub echo {
    my ($ws) = @_;

    $ws->send_text('hello');
    my $f = $ws->recv // return 'no echo';
    return $f->{payload} eq 'hello' ? '' : "echo of $f->{payload}";
}

# The status and what came of a plain GET; an endless answer is left when it has
# what is looked for.

sub ask {
    my ($path, $like, %h) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port, Timeout => 5) or return (0, '');
    $h{Connection} //= 'close';
    $s->syswrite("GET $path HTTP/1.1\r\nHost: localhost\r\n" . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n");

    my ($buf, $end) = ('', time + 20);

    while (time < $end && !(defined $like && $buf =~ $like)) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        sysread $s, $buf, 65536, length $buf or last;
        last if $h{Upgrade} && Blockcast::Test::_response($buf, 'GET', 0);
    }

    return ($buf =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0, $buf);
}

my %origin = (Origin => 'http://localhost', 'X-Try' => 1);
my %upgrade = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');

# what an endpoint of data can only answer when its stream has been polled

ok(wait_for(sub { $t->get('/exact/rest')->{status} == 200 }, 20), 'the streams have data');

my ($pid) = $t->worker_pids;

subtest 'every endpoint in every kind of block' => sub {
    for my $k (@kind) {
        my ($kind, $text, %o) = @$k;
        my @wrong;

        for my $name (@endpoints) {
            my ($e, $path) = ($endpoint{$name}, path($kind, $name));

            my ($status, $got) = ask($path, $e->{endless} ? $e->{like} : undef, %origin);
            push @wrong, "GET $path: $status" if $status != $e->{status};
            push @wrong, "GET $path: $got" if $got !~ $e->{like};
            push @wrong, "GET $path: without the header of the \"if\": $got" if $o{header} && $status == 200 && $got !~ /^X-If: 1\r$/m;

            if ($e->{upgrade}) {
                my $ws = eval { $t->ws($path, headers => \@try, may_fail => 1) };
                my $bad = !$ws ? "no answer: $@" : $ws->status != 101 ? 'status ' . $ws->status : $e->{upgrade}->($ws);
                push @wrong, "WebSocket $path: $bad" if $bad;
            } else {
                my ($status, $got) = ask($path, $e->{like}, %origin, %upgrade);
                push @wrong, "upgrade of $path: $status, $got" if $status != $e->{status} || $got !~ $e->{like};
            }
        }

        ok(!@wrong, "$kind: every endpoint works") or diag(map { "$_\n" } @wrong);
    }
};

subtest 'blocks with an answer of their own' => sub {
    for my $k (@own) {
        my ($kind, $text, $expected) = @$k;
        my @wrong;

        for my $name (@endpoints) {
            for my $h ({ 'X-Try' => 1 }, { 'X-Try' => 1, %upgrade }) {
                my ($status) = ask(path($kind, $name), undef, %$h);
                push @wrong, "/$kind/$name: $status" if $status != $expected;
            }
        }

        ok(!@wrong, "$kind: every endpoint answers $expected") or diag(map { "$_\n" } @wrong);
    }

    like($t->error_log, qr/more than one "if" has matched/, 'what cannot be told is said in the log');
    is($t->request(POST => '/except_get/api/streams', body => '{}')->{status}, 403, 'limit_except guards an endpoint');
    is($t->request(POST => '/except_post/api/streams', body => '{}')->{status}, 405, 'and lets through what it names');
};

# an event stream of a regex location

subtest 'an event stream of a regex location' => sub {
    {
        my (undef, $got) = ask('/regex-sse/beta', qr/"type":"beta"/);
        unlike($got, qr/"type":"alpha"/, 'a stream by its name in a regex location');
        (undef, $got) = ask('/regex-sse/?streams=beta', qr/"type":"beta"/);
        unlike($got, qr/"type":"alpha"/, 'or as an argument');
    }
};

# what keeps the status of an error opens nothing

subtest 'what keeps the status of an error opens nothing' => sub {
    {
        my $ws = $t->ws('/error-page', may_fail => 1);
        is($ws->status, 418, 'no WebSocket with the status of an error');
        my $r = $t->get('/error-page2');
        like($r->{body}, qr/error_page without "="/, 'and no event stream');
        is($r->{status}, 418, 'which keeps its status');
        $r = $t->request(GET => '/post-action', headers => { %upgrade, Origin => 'http://localhost' });
        is($r->{body}, 'before', 'and nothing opens behind the end of a response');
        $r = $t->get('/post-action2');
        is($r->{body}, 'before', 'nor an event stream');
    }

    {
        my $ws = $t->ws('/echo-in-ws', origin => 'http://elsewhere.test', may_fail => 1);
        is($ws->status, 101, 'what a WebSocket location does by itself is not for an echo in it');
    }
};

# the first poll of a stream that nobody wanted

$t->first_asker('/fresh', 'an idle stream in a location with an "if"', headers => { 'X-Try' => 1 });

subtest 'nodes in every kind of block' => sub {
    for my $name (sort keys %node) {
        ok(wait_for(sub { $t->get("/api/streams/at_$name")->{status} == 200 }, 20), "blockcast_node: $name");
    }
};

is_deeply([$t->worker_pids], [$pid], 'the worker is the one of the start');
unlike($t->error_log, qr/exited on signal/, 'none was killed');
ok(wait_for(sub { ($t->get_json('/exact/health')->{workers}[0]{connections} // 1) == 0 }, 30), 'no connection is counted for ever');
$t->stop;

# What nginx -t refuses.

for my $d ((map { $_->{directive} } @endpoint{@endpoints}), 'blockcast_node;') {
    my @wrong;

    (my $name = $d) =~ s/[ ;].*//;

    for my $where (['http', http => "    blockcast_zone main 4m;\n$d", server => ''],
                   ['server', server => $d],
                   ['"if" of a server', server => "if (\$http_origin) { $d }"],
                   ['limit_except', server => "location = /x { limit_except GET { $d } }"],
                   $name eq 'blockcast_node' ? ['"if"', server => "location = /x { if (\$http_origin) { $d } }"] : ())
    {
        my ($in, %conf) = @$where;
        my ($out, $code) = Blockcast::Test->check_conf(%conf);
        push @wrong, "$in: code $code, $out" if $code != 1 || $out !~ /"$name" directive is not allowed here/;
    }

    ok(!@wrong, "$name: refused where it may not stand") or diag(@wrong);
}

for my $where ('~ ^/x', '@x') {
    my ($out, $code) = Blockcast::Test->check_conf(server => "location $where { blockcast_node; proxy_pass http://127.0.0.1:1; }");
    ok($code == 1 && $out =~ /blockcast_node "default" must be in a prefix or exact location/, "location $where: no node") or diag($out);
}

done_testing();
