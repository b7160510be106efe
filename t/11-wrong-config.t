#!/usr/bin/perl

# What `nginx -t` says of a wrong configuration, word by word. If this fails, an
# operator who made a slip is told less than what is wrong, where, and what
# helps, or learns it only when nobody gets any data.
#
# A table: a configuration, and the lines that nginx says of it. In these LINE
# stands for the number of the line that "# <-" marks, START for that of "# <<",
# PREFIX for nginx's folder and NUMBER for a size in bytes. [emerg]: refused;
# [warn]: taken, with a warning.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $table = do { local $/; <DATA> };
my $rows = 0;

for (split /^=== /m, $table) {
    my ($name, @parts) = split /^--- (\w+)(?: (\S+))?\n/m;
    next unless defined $name;
    chomp $name;

    my %row = (http => '', main => '', server => '', says => '');
    my %files;

    while (@parts) {
        my ($part, $file, $text) = splice @parts, 0, 3;
        $text =~ s/\n+\z/\n/;
        $part eq 'file' ? ($files{$file} = $text eq "\n" ? '' : $text)
                        : ($row{$part} = $text);
    }

    $rows++;

    my $says = delete $row{says};
    my $t = Blockcast::Test->new(%row, start => 0);
    my $prefix = $t->prefix;

    for my $file (keys %files) {
        open my $fh, '>', "$prefix/$file" or die "$file: $!\n";
        print $fh $files{$file};
        close $fh or die "$file: $!\n";
    }

    my ($line, $start, @seen) = (0, 0);

    for (split /\n/, Blockcast::Test::slurp("$prefix/nginx.conf")) {
        $line++;
        push @seen, $line if /# <-/;
        $start = $line if /# <</;
    }

    my ($out, $code) = $t->test_conf;
    my @said = map { s/^.*? (\[\w+\]) (?:\d+#\d+: )?/$1 /r }
        grep { /\[(?:emerg|warn|alert|error)\]/ } split /\n/, $out;

    for (@said) {
        s/ in \K\Q$prefix\E\/(?=\S+:\d)//g;
        s/\Q$prefix\E/PREFIX/g;
        s/need \K\d{6,7}\b/NUMBER/;
    }

    $says =~ s/START/$start/g;
    $says =~ s/LINE/$seen[0] \/\/ 'LINE'/ge;

    subtest $name => sub {
        is(join('', map { "$_\n" } @said), $says eq "\n" ? '' : $says,
            'the messages');
        is($code, $says =~ /\[emerg\]/ ? 1 : 0,
            $says =~ /\[emerg\]/ ? 'refused' : 'taken');
    } or diag($out);
}

cmp_ok($rows, '>=', 50, 'all of the table was read');


# Workers that share a queue of new connections: told at start, and by nginx -t.

for (['2 workers', 2, '', '', 1], ['reuseport', 2, ' reuseport', '', 0], ['one worker', 1, '', '', 0],
     ['one of two without it', 2, ' reuseport', 'listen 127.0.0.1:%%PORT2%%;', 1],
     ['a UNIX socket beside', 2, ' reuseport', 'listen unix:%%PREFIX%%/sock;', 0])
{
    my ($name, $workers, $option, $more, $told) = @$_;
    my $t = Blockcast::Test->new(start => 0, workers => $workers, http => "server { listen 127.0.0.1:%%PORT1%%$option;"
        . " $more location /ws { blockcast_websocket; } location = /n { blockcast_node; proxy_pass http://127.0.0.1:2/; } }\n"
        . 'blockcast_stream s { blockcast_call c x; }');
    my ($out, $code) = $t->test_conf;
    is($code, 0, "$name: taken") or diag($out);
    my @said = $out =~ /\[warn\] (?:\d+#\d+: )?(.*reuseport.*)/g;
    is(scalar @said, $told, '... ' . ($told ? 'told' : 'nothing')) or diag($out);
    like($said[0], qr/^some of the 2 workers may have .*: "listen 127\.0\.0\.1:\d+ reuseport" spreads them$/, '... how')
        if $told;
}


# The drain that was cut short. If this fails, a reload under
# worker_shutdown_timeout drops clients without a Close, as a crash would.

{
    my $t = Blockcast::Test->new(main => 'worker_shutdown_timeout 4s;',
        http => 'blockcast_drain 1h;',
        server => 'location = /echo { blockcast_echo; }');
    my @clients = map { $t->ws('/echo') } 1 .. 40;

    ok($t->reload(gone => 20), 'a reload with clients');
    is_deeply([grep { $_ != 1012 } map { ($_->recv_close(5))[0] // 0 } @clients], [],
        'every client was told goodbye');
    $t->stop;
}

done_testing();

__DATA__
=== params without quotes: nginx ends a word at {
--- http
blockcast_stream s {
    blockcast_call peers net.peers params={"limit":100}; # <-
}
--- says
[emerg] unexpected "{" in nginx.conf:LINE
[emerg] "blockcast_call" of stream "s" was cut at "{" behind "params=": a value with "{" needs quotes, like 'params={"limit":100}' in nginx.conf:LINE

=== an array of objects without quotes
--- http
blockcast_stream s {
    blockcast_call peers net.peers params=[{"limit":100}]; # <-
}
--- says
[emerg] unexpected "{" in nginx.conf:LINE
[emerg] "blockcast_call" of stream "s" was cut at "{" behind "params=[": a value with "{" needs quotes, like 'params={"limit":100}' in nginx.conf:LINE

=== params_jq without quotes
--- http
blockcast_stream s {
    blockcast_call a net.peers;
    blockcast_call b net.peer params_jq={id:.results.a[0].id}; # <-
}
--- says
[emerg] unexpected "{" in nginx.conf:LINE
[emerg] "blockcast_call" of stream "s" was cut at "{" behind "params_jq=": a value with "{" needs quotes, like 'params={"limit":100}' in nginx.conf:LINE

=== a jq program without quotes
--- http
blockcast_stream s {
    blockcast_call a net.peers;
    blockcast_jq {peers:.results.a}; # <-
}
--- says
[emerg] unexpected "{" in nginx.conf:LINE
[emerg] "blockcast_jq" of stream "s" was cut at "{" behind "blockcast_jq": a value with "{" needs quotes, like 'params={"limit":100}' in nginx.conf:LINE

=== the same in a file that is included, as presets are
--- http
include streams.inc;
--- file streams.inc
blockcast_stream s {
    blockcast_call peers net.peers params={"limit":100};
}
--- says
[emerg] unexpected "{" in streams.inc:2
[emerg] "blockcast_call" of stream "s" was cut at "{" behind "params=": a value with "{" needs quotes, like 'params={"limit":100}' in streams.inc:2

=== a stream that is not ended
--- http
blockcast_stream one { # <<
    blockcast_call a net.peers;

blockcast_stream two { # <-
    blockcast_call a net.peers;
}
--- says
[emerg] unexpected "{" in nginx.conf:LINE
[emerg] "blockcast_stream" inside of stream "one", which begins in nginx.conf:START: the "}" that ends it is missing in nginx.conf:LINE

=== params without a value is no matter of quotes
--- http
blockcast_stream s {
    blockcast_call peers net.peers params=; # <-
}
--- says
[emerg] params of call "peers" in stream "s" are not JSON, see byte 0 of  in nginx.conf:LINE

=== a node location without proxy_pass
--- http
blockcast_stream s { blockcast_call a net.peers; }
--- server
location = /_node {
    blockcast_node; # <-
    proxy_set_header Host localhost;
}
--- says
[warn] the location of blockcast_node "default" in nginx.conf:LINE has no proxy_pass: its streams will ask nobody

=== each of several nodes is looked at
--- server
location = /a { blockcast_node a; proxy_pass http://127.0.0.1:1; }
location = /b {
    blockcast_node b; # <-
}
--- says
[warn] the location of blockcast_node "b" in nginx.conf:LINE has no proxy_pass: its streams will ask nobody

=== a node location whose proxy_pass is in a location inside of it
--- server
location /b {
    blockcast_node b; # <-
    location /b/c { proxy_pass http://127.0.0.1:1; }
}
--- says
[warn] the location of blockcast_node "b" in nginx.conf:LINE has no proxy_pass: its streams will ask nobody

=== proxy_pass, then an endpoint in one location
--- server
location /ws {
    proxy_pass http://127.0.0.1:1;
    blockcast_websocket; # <-
}
--- says
[emerg] "blockcast_websocket" in location "/ws", which another directive answers already, as proxy_pass does in nginx.conf:LINE

=== an endpoint, then proxy_pass in one location
--- server
location /ws {
    blockcast_websocket; # <-
    proxy_pass http://127.0.0.1:1;
}
--- says
[emerg] "blockcast_websocket" in nginx.conf:LINE shares its location with another directive that answers, as proxy_pass does: give each a location of its own

=== an echo, then proxy_pass in one location
--- server
location /echo {
    blockcast_echo; # <-
    proxy_pass http://127.0.0.1:1;
}
--- says
[emerg] "blockcast_echo" in nginx.conf:LINE shares its location with another directive that answers, as proxy_pass does: give each a location of its own

=== another module's handler and an endpoint
--- server
location /status {
    stub_status;
    blockcast_health; # <-
}
--- says
[emerg] "blockcast_health" in location "/status", which another directive answers already, as proxy_pass does in nginx.conf:LINE

=== a node and an endpoint in one location
--- server
location = /both {
    blockcast_node;
    blockcast_api; # <-
}
--- says
[emerg] "blockcast_api" in nginx.conf:LINE shares its location with blockcast_node: give each a location of its own

=== two endpoints in one location
--- server
location /two {
    blockcast_websocket;
    blockcast_sse; # <-
}
--- says
[emerg] "blockcast_sse" in location "/two", which has another blockcast endpoint in nginx.conf:LINE

=== a tokens file without a token: nobody gets in, which may be meant
--- server
location /ws {
    blockcast_websocket;
    blockcast_tokens tokens; # <-
}
--- file tokens
# all of them were taken back

--- says
[warn] blockcast_tokens "PREFIX/tokens" has no token: every client will be refused in nginx.conf:LINE

=== a token that is too short, which is not shown
--- server
blockcast_tokens tokens; # <-
--- file tokens
0123456789abcdef0123
short-secret ops
--- says
[emerg] the token is shorter than 16 characters in line 2 of blockcast_tokens "PREFIX/tokens" in nginx.conf:LINE

=== a tokens file that is not there
--- server
blockcast_tokens nope; # <-
--- says
[emerg] open() "PREFIX/nope" of directive "blockcast_tokens" failed (2: No such file or directory) in nginx.conf:LINE

=== no subscription at all
--- server
blockcast_max_subscriptions 0; # <-
--- says
[emerg] blockcast_max_subscriptions must be a number from 1 in nginx.conf:LINE

=== no message at all
--- server
blockcast_max_message 0; # <-
--- says
[emerg] blockcast_max_message must be larger than 0 in nginx.conf:LINE

=== a message larger than can be
--- server
location /ws {
    blockcast_websocket;
    blockcast_max_message 1025m; # <-
}
--- says
[emerg] blockcast_max_message must not be larger than 1024m in nginx.conf:LINE

=== a queue too small for one answer
--- server
blockcast_max_queue 127k; # <-
--- says
[emerg] blockcast_max_queue must be from 128k to 1024m in nginx.conf:LINE

=== a rate of none
--- server
blockcast_message_rate 0; # <-
--- says
[emerg] "0" in "blockcast_message_rate" must be a number from 1 in nginx.conf:LINE

=== a burst that is no number
--- server
blockcast_message_rate 10 burst=many; # <-
--- says
[emerg] "burst=many" in "blockcast_message_rate" must be burst= and a number from 1 in nginx.conf:LINE

=== a protocol that there is not
--- server
blockcast_protocol msgpack; # <-
--- says
[emerg] invalid value "msgpack" in "blockcast_protocol", it must be "json", "cbor" or "jsonrpc" in nginx.conf:LINE

=== a protocol twice
--- server
blockcast_protocol json;
blockcast_protocol cbor; # <-
--- says
[emerg] "blockcast_protocol" directive is duplicate in nginx.conf:LINE

=== a time of the access log that there is not
--- http
blockcast_access_log off; # <-
--- says
[emerg] invalid value "off" in "blockcast_access_log", it must be "end" or "start" in nginx.conf:LINE

=== a switch that is neither on nor off
--- server
blockcast_deflate yes; # <-
--- says
[emerg] invalid value "yes" in "blockcast_deflate" directive, it must be "on" or "off" in nginx.conf:LINE

=== blockcast_interval at http
--- http
blockcast_interval 2s; # <-
--- says
[emerg] "blockcast_interval" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_call in a server
--- server
blockcast_call header light.latest_header; # <-
--- says
[emerg] "blockcast_call" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_jq in a location
--- server
location /ws {
    blockcast_websocket;
    blockcast_jq .; # <-
}
--- says
[emerg] "blockcast_jq" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_jq_file at http
--- http
blockcast_jq_file program.jq; # <-
--- says
[emerg] "blockcast_jq_file" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_log in a server
--- server
blockcast_log receipts key=id; # <-
--- says
[emerg] "blockcast_log" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_stale at http
--- http
blockcast_stale 5s; # <-
--- says
[emerg] "blockcast_stale" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_always at http
--- http
blockcast_always on; # <-
--- says
[emerg] "blockcast_always" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_linger at http
--- http
blockcast_linger 5s; # <-
--- says
[emerg] "blockcast_linger" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_max_size at http
--- http
blockcast_max_size 5m; # <-
--- says
[emerg] "blockcast_max_size" belongs inside "blockcast_stream NAME { }" in nginx.conf:LINE

=== blockcast_node at http
--- http
blockcast_node node; # <-
--- says
[emerg] "blockcast_node" directive is not allowed here in nginx.conf:LINE

=== a slip in the name of a directive of a stream
--- http
blockcast_stream s {
    blockcast_intervall 2s; # <-
}
--- says
[emerg] unknown directive "blockcast_intervall" in stream "s" in nginx.conf:LINE

=== a drain longer than worker_shutdown_timeout leaves
--- main
worker_shutdown_timeout 4s;
--- http
blockcast_drain 30s;
--- says
[warn] blockcast_drain of 30000 ms is taken as 3000 ms, for worker_shutdown_timeout closes what is left after 4000 ms

=== the same, without a zone and for an echo alone
--- main
worker_shutdown_timeout 2s;
--- http
# no blockcast_zone
blockcast_drain 2s;
--- says
[warn] blockcast_drain of 2000 ms is taken as 1500 ms, for worker_shutdown_timeout closes what is left after 2000 ms

=== the default of blockcast_drain fits by itself
--- main
worker_shutdown_timeout 1s;
--- http
blockcast_zone main 4m;
--- says


=== a drain that is short enough
--- main
worker_shutdown_timeout 10s;
--- http
blockcast_drain 7500ms;
--- says


=== a stream without a zone
--- http
# no blockcast_zone
blockcast_stream s { # <-
    blockcast_call a net.peers;
}
--- says
[emerg] stream "s" in nginx.conf:LINE needs a blockcast_zone, and none is declared

=== a state file without a zone
--- http
# no blockcast_zone
blockcast_state feeds; # <-
--- says
[emerg] blockcast_state "PREFIX/feeds" in nginx.conf:LINE needs a blockcast_zone, and none is declared

=== a zone that the streams do not fit into
--- http
blockcast_zone main 64k; # <-
blockcast_stream s { blockcast_call a net.peers; }
--- server
location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }
--- says
[emerg] blockcast_zone "main" is 65536 bytes, the 1 streams declared need NUMBER in nginx.conf:LINE

=== a zone that is hardly one
--- http
blockcast_zone main 4k; # <-
--- says
[emerg] blockcast_zone "main" of 4096 bytes is too small, the least is 32768 in nginx.conf:LINE

=== a stream and no node
--- http
blockcast_stream s { # <-
    blockcast_call a net.peers;
}
--- says
[emerg] stream "s" in nginx.conf:LINE asks node "default", but no location has "blockcast_node default;"

=== a log without a key
--- http
blockcast_stream s {
    blockcast_call a net.peers;
    blockcast_log receipts keep=3; # <-
}
--- says
[emerg] log stream "s" needs key=NAME, the member that tells one entry from another in nginx.conf:LINE

=== an interval that gets a node's ban
--- http
blockcast_stream s {
    blockcast_interval 10ms; # <-
}
--- says
[emerg] "blockcast_interval 10ms" of stream "s" is shorter than 50 ms in nginx.conf:LINE

=== an endpoint that names a stream which there is not
--- server
location /ws {
    blockcast_websocket nope; # <-
}
--- says
[emerg] "blockcast_websocket" in nginx.conf:LINE names stream "nope", which is not declared

=== an origin without a scheme
--- server
blockcast_origin example.com; # <-
--- says
[emerg] blockcast_origin "example.com" must be "same", "any" or like https://www.example.com ("forwarded" and "null" there are, too) in nginx.conf:LINE

=== right: an endpoint in an if of a location with proxy_pass, and the other way round
--- server
location /one {
    if ($http_upgrade) { blockcast_websocket; }
    proxy_pass http://127.0.0.1:1;
}
location /two {
    blockcast_websocket;
    if ($arg_other) { proxy_pass http://127.0.0.1:1; }
    limit_except GET { deny all; }
}
--- says


=== right: a node whose proxy_pass is in an if
--- server
location = /_node {
    blockcast_node;
    if ($scheme = http) { proxy_pass http://127.0.0.1:1; }
}
--- says


=== right: values in quotes, and a subscription or message of the least size
--- http
blockcast_stream s {
    blockcast_call a net.peers 'params={"limit":100}';
    blockcast_call b net.peers "params_jq={id: .results.a[0].id}";
    blockcast_jq '{peers: .results.a}';
}
--- server
location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }
blockcast_max_subscriptions 1;
blockcast_max_message 1;
blockcast_protocol CBOR;
--- says

