#!/usr/bin/perl

# What `nginx -t` says. If this fails, an operator's correct configuration is
# refused, or a mistake in it passes the test and is met at run time, or the
# message does not tell which stream is meant and what is wrong with it.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my $node = <<'EOC';
    location = /_node { blockcast_node; proxy_pass http://127.0.0.1:1; }
EOC


# One configuration: texts of the http and server blocks, and files beside
# nginx.conf by name. Returns the output and the exit code of nginx -t.

sub conf_test {
    my (%arg) = @_;

    my $t = Blockcast::Test->new(http => $arg{http}, main => $arg{main},
        server => ($arg{no_node} ? '' : $node) . ($arg{server} // ''),
        start => 0);
    my $prefix = $t->prefix;

    for my $name (keys %{ $arg{files} // {} }) {
        open my $fh, '>', "$prefix/$name" or die "$name: $!\n";
        print $fh $arg{files}{$name};
        close $fh;
    }

    return $t->test_conf;
}


sub good {
    my ($name, %arg) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($out, $code) = conf_test(%arg);

    ok($code == 0 && $out =~ /test is successful/
        && $out !~ /\[(?:warn|error|crit|alert|emerg)\]/, "good: $name")
        or diag($out);
}


# Wrong: nginx -t ends with 1, one [emerg] line, and that says what `re` has.

sub bad {
    my ($name, $re, %arg) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($out, $code) = conf_test(%arg);
    my @lines = $out =~ /\[emerg\] \d+#\d+: (.*)/g;

    subtest "wrong: $name" => sub {
        is($code, 1, 'refused');
        is(scalar @lines, 1, 'with one message');
        like($lines[0], $re, 'that says why');
        like($lines[0], qr/nginx\.conf:\d+|\.inc:\d+|^blockcast_zone/,
            'and where') unless $arg{nowhere};
        unlike($out, qr/\[alert\]|bc_int|bc_to|\xee\x80/,
            'and nothing of the inside');
    } or diag($out);
}


# In a stream named "sample" with a call, unless `call` says otherwise.

sub stream {
    my ($lines) = @_;

    return (http => "blockcast_stream sample {\n"
        . "    blockcast_call c a.method;\n    $lines\n}\n");
}


# Correct forms. If one fails, what the README says cannot be typed.

good('a stream with one call',
    http => 'blockcast_stream s { blockcast_call c net.stats; }');

good('every directive of a stream', http => <<'EOC', server => <<'EOS');
    blockcast_zone main 4m;
    blockcast_stream all.of-them_1 {
        blockcast_node other;
        blockcast_interval 500ms;
        blockcast_stale 1m;
        blockcast_always on;
        blockcast_linger 30s;
        blockcast_max_size 128k;
        blockcast_call a net.stats;
        blockcast_call b net.peers 'params={"limit": 10}' timeout=800ms;
        blockcast_call c first fallback=second fallback=third;
        blockcast_call d light.headers 'params_jq={start: .last.height}';
        blockcast_call e light.header each=256 'params_jq=.results.d[] | [.]';
        blockcast_call f x params=[1];
        blockcast_call g y params=[];
        blockcast_jq '{entries: .results.d}, {at: .time}';
        blockcast_log entries key=id keep=500 size=1m page=50;
    }
EOC
    location /other/ {
        internal;
        blockcast_node other max_reply=64k;
        proxy_pass http://127.0.0.1:1;
    }
EOS

good('shortest and longest values', stream(<<'EOC'));
        blockcast_interval 50ms;
        blockcast_stale 50ms;
        blockcast_linger 0;
        blockcast_always off;
        blockcast_max_size 256;
        blockcast_call least m timeout=1ms each=1 params_jq=.;
        blockcast_jq .;
EOC

good('every endpoint, and a stream that is declared later',
    http => <<'EOC', server => <<'EOS',
    blockcast_max_message 32k;
    blockcast_ping_interval 20s;
    blockcast_pong_timeout 5s;
    blockcast_send_timeout 10s;
    blockcast_drain 3s;
    blockcast_access_log start;
    blockcast_state tmp/../tmp/feeds interval=500ms;
    blockcast_deflate on;
    blockcast_protocol jsonrpc;
    blockcast_max_frame 16k;
    blockcast_max_queue 1m;
    blockcast_max_fragments 100;
    blockcast_max_subscriptions 5;
    blockcast_message_rate 10 burst=20;
    blockcast_max_connections 100 worker=60;
    blockcast_origin same;
    blockcast_allow_streams $arg_streams;

    server {
        listen 127.0.0.1:%%PORT1%%;
        blockcast_max_message 16k;
        blockcast_origin https://example.com https://*.example.com;
        blockcast_message_rate off;
        location / { blockcast_websocket later; blockcast_deflate off; }
    }

    blockcast_stream later { blockcast_call c m; }
    blockcast_stream more { blockcast_call c m; }
EOC
    blockcast_ping_interval 500ms;
    location = /ws { blockcast_websocket; }
    location /some { blockcast_websocket later more; }
    location /echo { blockcast_echo; blockcast_max_message 16m; }
    location /api/ { blockcast_api; }
    location /few/ { blockcast_api later; }
    location = /one { blockcast_rest later; }
    location = /health { blockcast_health; }
    location = /metrics { blockcast_metrics; }
    location /events { blockcast_sse; }
    location /event { blockcast_sse later; }
    location ~ ^/re/ { blockcast_api; }
    location /cbor { blockcast_websocket; blockcast_protocol cbor; blockcast_origin any; }
    location /closed { blockcast_websocket; blockcast_tokens tokens; }
    location /front { blockcast_websocket; blockcast_origin forwarded null http://*.test:8000; }
    location /passed { blockcast_guard on; proxy_pass http://127.0.0.1:1; }
EOS
    files => { tokens => "# whose\n0123456789abcdef0123456789abcdef somebody later\n" });

good('blockcast_echo needs no zone, no node and no stream', no_node => 1,
    http => '# no blockcast_zone', server => 'location / { blockcast_echo; }');

good('a zone that no stream uses yet', no_node => 1,
    http => 'blockcast_zone main 1m;');

good('the zone behind the streams',
    http => 'blockcast_stream s { blockcast_call c m; } blockcast_zone z 1m;');

good('as many streams as there can be',
    http => "blockcast_zone z 32m;\n" . join "\n",
        map { "blockcast_stream s$_ { blockcast_call c m; }" } 1 .. 64);

good('streams from files, and the inside of one, and programs beside them',
    http => 'include streams/*.inc; include whole.inc;',
    files => {
        'whole.inc' => <<'EOC', 'inside.inc' => <<'EOC', 'p.jq' => <<'EOP', 'q.jq' => '[.last]' });
blockcast_stream s {
    blockcast_interval 1s;
    include inside.inc;
    blockcast_jq_file p.jq;
}
EOC
blockcast_call c m;
blockcast_call d m params_jq_file=q.jq;
EOC
# a comment, and several lines
def half: . / 2;

{ h: (.results.c.height | half) }
EOP

good('a program that includes a library that lies beside nginx.conf',
    stream(q(blockcast_jq 'include "lib"; # ours
        import "other" as o; .results.c | double | o::triple';)),
    files => { 'lib.jq' => 'def double: . * 2;',
               'other.jq' => 'def triple: . * 3;' });


# The jq programs. If this fails, the operator has to find the error of a
# program without jq's own message, or in text that is not theirs.

bad('jq syntax error, with jq\'s words and the program as it was written',
    qr/jq program of stream "sample": jq: error: syntax error, unexpected (?:\$end|end of file).* line 1(?:, column \d+)?: +\.results \|[ ^]*;/,
    stream(q(blockcast_jq '.results |';)));

bad('jq syntax error further down',
    qr/stream "sample": jq: error: syntax error, .* line 3(?:, column \d+)?: +\| 2\)[ ^]*;/,
    stream("blockcast_jq '.results\n| 1\n| 2)';"));

bad('jq: a function that does not exist',
    qr/stream "sample": jq: error: nosuch\/1 is not defined.* line 1(?:, column \d+)?: +\{a: nosuch\(1\)\}/,
    stream(q(blockcast_jq '{a: nosuch(1)}';)));

bad('jq: a variable that does not exist',
    qr/stream "sample": jq: error: \$b is not defined/,
    stream(q(blockcast_jq '. as [$a] | $b';)));

bad('jq file with a syntax error names the file too',
    qr/jq program ".*\/bad\.jq" of stream "sample": jq: error: .* line 2(?:, column \d+)?: +\.a \|/,
    stream('blockcast_jq_file bad.jq;'), files => { 'bad.jq' => "#\n.a |\n" });

bad('jq file that is not there',
    qr/\/nope\.jq" of stream "sample" .*No such file/s,
    stream('blockcast_jq_file nope.jq;'));

bad('jq file that is a folder', qr/tmp" of stream "sample" /,
    stream('blockcast_jq_file tmp;'));

bad('jq library that is not there',
    qr/jq program of stream "sample": .*nolib/,
    stream(q(blockcast_jq 'include "nolib"; .';)));

bad('a second program', qr/stream "sample" has a second jq program/,
    stream('blockcast_jq .; blockcast_jq .a;'));

bad('a second program, from a file',
    qr/stream "sample" has a second jq program/,
    stream('blockcast_jq_file p.jq; blockcast_jq .;'), files => { 'p.jq' => '.' });

bad('params_jq with a syntax error names the call',
    qr/params_jq of call "c2" in stream "sample": jq: error: .*\.a \|/,
    stream(q(blockcast_call c2 m 'params_jq=.a |'; blockcast_jq .;)));

bad('params_jq_file that is not there',
    qr/nope\.jq" of stream "sample" .*No such file/,
    stream('blockcast_call c2 m params_jq_file=nope.jq; blockcast_jq .;'));


# Calls. If this fails, a call is made with parameters that the node refuses,
# and the dashboard stays empty for a reason that only its log knows.

bad('params that are not JSON',
    qr/params of call "p" in stream "sample" are not JSON, see byte 7 of \{"a":1,\}/,
    stream(q(blockcast_call p m 'params={"a":1,}'; blockcast_jq .;)));

bad('params with something behind the JSON',
    qr/params of call "p" in stream "sample" are not JSON, see byte 3 of \[1\]\]/,
    stream(q(blockcast_call p m 'params=[1]]'; blockcast_jq .;)));

bad('params that are empty',
    qr/params of call "p" in stream "sample" are not JSON/,
    stream(q(blockcast_call p m params=; blockcast_jq .;)));

for my $scalar ('7', '"text"', 'null', 'true') {
    bad("params $scalar",
        qr/params of call "p" in stream "sample" must be a JSON object or array: \Q$scalar\E in/,
        stream(qq(blockcast_call p m 'params=$scalar'; blockcast_jq .;)));
}

bad('both params and params_jq',
    qr/call "p" in stream "sample" has both params and params_jq/,
    stream('blockcast_call p m params=[] params_jq=.; blockcast_jq .;'));

bad('each without params_jq',
    qr/call "p" in stream "sample" has each=3 but no params_jq/,
    stream('blockcast_call p m each=3; blockcast_jq .;'));

for my $each ('0', '257', '-1', 'x', '', '99999999999999999999') {
    bad("each=$each",
        qr/"each=\Q$each\E" of call "p" in stream "sample" must be a number from 1 to 256/,
        stream("blockcast_call p m each=$each params_jq=.; blockcast_jq .;"));
}

for my $time ('x', '', '0', '-1s', '1.5s', '3parsecs') {
    bad("timeout=$time",
        qr/invalid parameter "timeout=\Q$time\E" of call "p" in stream "sample"/,
        stream("blockcast_call p m timeout=$time; blockcast_jq .;"));
}

bad('a fallback without a name',
    qr/invalid parameter "fallback=" of call "p" in stream "sample"/,
    stream('blockcast_call p m fallback=; blockcast_jq .;'));

bad('a parameter that there is not',
    qr/invalid parameter "retries=3" of call "p" in stream "sample"/,
    stream('blockcast_call p m retries=3; blockcast_jq .;'));

bad('two calls of one name', qr/duplicate call "c" in stream "sample"/,
    stream('blockcast_call c other; blockcast_jq .;'));

for my $name ('a b', '', 'x/y', "\xc3\xa9", 'n' x 64) {
    bad("a call's name \"$name\"",
        qr/call name "\Q$name\E" in stream "sample" must be 1 to 63 of the characters/,
        stream(qq(blockcast_call "$name" m; blockcast_jq .;)));
}

bad('a call without a method',
    qr/invalid number of arguments in "blockcast_call" of stream "sample"/,
    stream('blockcast_call only;'));

bad('several calls without a program',
    qr/stream "sample" has several calls, it needs blockcast_jq/,
    stream('blockcast_call d m;'));

bad('no call', qr/stream "s" has no blockcast_call/,
    http => 'blockcast_stream s { blockcast_interval 1s; }');

bad('an empty block', qr/stream "s" has no blockcast_call/,
    http => 'blockcast_stream s { }');


# Times, sizes, flags. If this fails, a slip of the pen makes a stream that is
# always stale, or polls a node until it bans us.

for my $d (qw(interval stale linger)) {
    for my $v ('x', '', '5 s', '-1s', '1.5s', '99999999999999999999') {
        bad("blockcast_$d \"$v\"",
            qr/"blockcast_$d \Q$v\E" of stream "sample" is not a time like 2s/,
            stream(qq(blockcast_$d "$v";)));
    }
}

bad('an interval that gets us banned',
    qr/"blockcast_interval 49ms" of stream "sample" is shorter than 50 ms/,
    stream('blockcast_interval 49ms;'));

bad('stale of no time', qr/"blockcast_stale 0" of stream "sample" is shorter than 1 ms/,
    stream('blockcast_stale 0;'));

bad('stale between two polls',
    qr/stream "sample" would be stale between two polls: blockcast_stale is 900 ms, blockcast_interval 1000 ms/,
    stream('blockcast_interval 1s; blockcast_stale 900ms;'));

for my $v ('x', '', '255', '65m', '-1', '1.5k', '99999999999999999999') {
    bad("blockcast_max_size \"$v\"",
        qr/"blockcast_max_size \Q$v\E" of stream "sample" must be a size from 256 to 64m/,
        stream(qq(blockcast_max_size "$v";)));
}

bad('blockcast_always maybe',
    qr/invalid value "maybe" in "blockcast_always" of stream "sample", it must be "on" or "off"/,
    stream('blockcast_always maybe;'));

for my $line ('blockcast_interval 1s', 'blockcast_stale 20s', 'blockcast_linger 1s',
    'blockcast_max_size 1k', 'blockcast_always on', 'blockcast_node default',
    'blockcast_log a key=b')
{
    my ($name) = $line =~ /^(\S+)/;

    bad("$name twice", qr/"$name" directive is duplicate in stream "sample"/,
        stream("$line; $line;"));
}

for my $line ('blockcast_interval', 'blockcast_interval 1s 2s', 'blockcast_node',
    'blockcast_node a b', 'blockcast_stale', 'blockcast_always',
    'blockcast_linger 1s 1s', 'blockcast_max_size', 'blockcast_jq',
    'blockcast_jq . .', 'blockcast_jq_file', 'blockcast_log',
    'blockcast_log receipts')
{
    my ($name) = $line =~ /^(\S+)/;

    bad("\"$line;\"",
        qr/invalid number of arguments in "$name" of stream "sample"/,
        stream("$line;"));
}

bad('a directive that there is not',
    qr/unknown directive "blockcast_intervall" in stream "sample"/,
    stream('blockcast_intervall 1s;'));

bad('another module\'s directive', qr/unknown directive "proxy_pass" in stream "sample"/,
    stream('proxy_pass http://127.0.0.1;'));

bad('a mistake in an included file names that file',
    qr/unknown directive "oops" in stream "sample" in .*part\.inc:2/,
    stream('include part.inc;'), files => { 'part.inc' => "#\noops 1;\n" });

bad('an included file that is not there', qr/nope\.inc.*No such file/,
    stream('include nope.inc;'));


# Logs. If this fails, entries are delivered twice or never.

bad('a log without a key',
    qr/log stream "sample" needs key=NAME, the member that tells one entry from another/,
    stream('blockcast_log receipts keep=3;'));

bad('an empty key', qr/invalid parameter "key=" of log stream "sample"/,
    stream('blockcast_log receipts key=;'));

for my $p ('keep=0', 'keep=x', 'keep=1000001', 'keep=', 'page=0', 'page=10001',
    'page=-1', 'kept=1')
{
    bad("blockcast_log with $p", qr/invalid parameter "$p" of log stream "sample"/,
        stream("blockcast_log receipts key=id $p;"));
}

for my $p ('size=4095', 'size=2g', 'size=x', 'size=') {
    bad("blockcast_log with $p",
        qr/"$p" of log stream "sample" must be a size from 4k to 1g/,
        stream("blockcast_log receipts key=id $p;"));
}

bad('a field that is no name',
    qr/the field "a\/b" of log stream "sample" must be 1 to 63 of the characters/,
    stream('blockcast_log a/b key=id;'));


# Names of streams. If this fails, two streams overwrite each other.

bad('two streams of one name',
    qr/duplicate blockcast_stream "twin", the first is in .*nginx\.conf:\d+/,
    http => 'blockcast_stream twin { blockcast_call c m; }'
        . 'blockcast_stream twin { blockcast_call c m; }');

for my $name ('a b', '', 'x/y', "\xc3\xa9", 'n' x 64) {
    bad("a stream's name \"$name\"",
        qr/blockcast_stream name "\Q$name\E" must be 1 to 63 of the characters a-z A-Z 0-9 _ - \./,
        http => qq(blockcast_stream "$name" { blockcast_call c m; }));
}

bad('a stream without a name', qr/invalid number of arguments in "blockcast_stream"/,
    http => 'blockcast_stream { blockcast_call c m; }');

bad('a stream without a block', qr/directive "blockcast_stream" has no opening "\{"/,
    http => 'blockcast_stream s;');

bad('one stream more than there can be',
    qr/blockcast_stream "s65" is one more than the 64 streams there can be/,
    http => "blockcast_zone z 32m;\n" . join "\n",
        map { "blockcast_stream s$_ { blockcast_call c m; }" } 1 .. 65);

bad('a stream inside of a server', qr/"blockcast_stream" directive is not allowed here/,
    server => 'blockcast_stream s { blockcast_call c m; }');


# The zone. If this fails, the server starts and cannot keep what it polls.

my $s = 'blockcast_stream sample { blockcast_call c m; }';

bad('a stream and no zone',
    qr/stream "sample" in .*nginx\.conf:\d+ needs a blockcast_zone, and none is declared/,
    http => "# no blockcast_zone\n$s");

for my $e ('blockcast_websocket', 'blockcast_api', 'blockcast_health', 'blockcast_sse',
    'blockcast_metrics')
{
    bad("$e and no zone",
        qr/"$e" in .*nginx\.conf:\d+ needs a blockcast_zone, and none is declared/,
        http => '# no blockcast_zone', server => "location / { $e; }");
}

bad('a zone too small for the streams, with both numbers',
    qr/^blockcast_zone "z" is 65536 bytes, the 1 streams? declared needs? \d{6,7} in /,
    http => "blockcast_zone z 64k; $s");

bad('a zone too small for a log\'s size=',
    qr/^blockcast_zone "z" is 1048576 bytes, the 1 streams? declared needs? 1[0-9]{7} in /,
    http => 'blockcast_zone z 1m; blockcast_stream l {'
        . 'blockcast_call c m; blockcast_log a key=b size=16m; }');

bad('a zone that is hardly one',
    qr/blockcast_zone "z" of 4096 bytes is too small, the least is 32768/,
    http => 'blockcast_zone z 4k;');

for my $v ('x', '-1', '', '1.5m') {
    bad("a zone of \"$v\"", qr/blockcast_zone "z" has the invalid size "\Q$v\E"/,
        http => qq(blockcast_zone z "$v";));
}

bad('two zones', qr/"blockcast_zone" directive is duplicate/,
    http => 'blockcast_zone a 1m; blockcast_zone b 1m;');

bad('a zone without a size', qr/invalid number of arguments in "blockcast_zone"/,
    http => 'blockcast_zone main;');

bad('the name of another module\'s zone', qr/zone "z" is already .*|conflict/,
    http => "limit_req_zone \$uri zone=z:1m rate=1r/s; blockcast_zone z 1m; $s");


# Nodes. If this fails, a stream asks nobody, or the whole world may ask the
# node through us.

bad('a stream and no node',
    qr/stream "sample" in .*nginx\.conf:\d+ asks node "default", but no location has "blockcast_node default;"/,
    no_node => 1, http => $s);

bad('a node that there is not',
    qr/stream "sample" in .*nginx\.conf:\d+ asks node "backup", but no location has "blockcast_node backup;"/,
    stream('blockcast_node backup;'));

bad('two nodes of one name',
    qr/duplicate blockcast_node "default", the first is in .*nginx\.conf:\d+/,
    server => 'location /b { blockcast_node; proxy_pass http://127.0.0.1:1; }');

bad('blockcast_node twice in a location', qr/"blockcast_node" directive is duplicate/,
    no_node => 1, server => 'location /b { blockcast_node; blockcast_node other; }');

bad('a node in a regex location',
    qr/blockcast_node "n" must be in a prefix or exact location/,
    server => 'location ~ ^/n$ { blockcast_node n; proxy_pass http://127.0.0.1:1; }');

bad('a node in a named location',
    qr/blockcast_node "n" must be in a prefix or exact location/,
    server => 'location @n { blockcast_node n; proxy_pass http://127.0.0.1:1; }');

for my $p ('max_reply=x', 'max_reply=1023', 'max_reply=2g', 'max_reply=') {
    bad("blockcast_node with $p", qr/"$p" must be a size from 1k to 1g/,
        server => "location = /b { blockcast_node b $p; }");
}

bad('blockcast_node with two names', qr/invalid parameter "two"/,
    server => 'location = /b { blockcast_node one two; }');

bad('blockcast_node in the server', qr/"blockcast_node" directive is not allowed here/,
    server => 'blockcast_node n;');


# Endpoints. If this fails, an address answers with nothing, or with what
# another directive of its location meant.

for my $e ('blockcast_websocket', 'blockcast_api', 'blockcast_rest', 'blockcast_sse') {
    bad("$e with an unknown stream",
        qr/"$e" in .*nginx\.conf:\d+ names stream "nope", which is not declared/,
        http => $s, server => "location / { $e nope; }");
}

bad('an unknown stream behind a known one', qr/names stream "nope"/,
    http => $s, server => 'location / { blockcast_websocket sample nope; }');

bad('blockcast_rest without a stream', qr/invalid number of arguments in "blockcast_rest"/,
    http => $s, server => 'location / { blockcast_rest; }');

bad('blockcast_rest with two', qr/invalid number of arguments in "blockcast_rest"/,
    http => $s, server => 'location / { blockcast_rest sample sample; }');

bad('blockcast_echo with a parameter', qr/invalid number of arguments in "blockcast_echo"/,
    server => 'location / { blockcast_echo x; }');

bad('blockcast_health with a parameter', qr/invalid number of arguments in "blockcast_health"/,
    http => $s, server => 'location / { blockcast_health x; }');

for my $pair (['blockcast_websocket', 'blockcast_api'],
    ['blockcast_echo', 'blockcast_websocket'],
    ['blockcast_health', 'blockcast_health'])
{
    bad("@$pair in one location",
        qr/"$pair->[1]" in location "\/two", which has another blockcast endpoint/,
        http => $s, server => "location /two { $pair->[0]; $pair->[1]; }");
}

bad('an endpoint in the server', qr/"blockcast_websocket" directive is not allowed here/,
    http => $s, server => 'blockcast_websocket;');


# Settings of the connections. If this fails, a limit that was written down
# is not the one that holds.

for my $d (qw(ping_interval pong_timeout send_timeout)) {
    for my $v ('x', '0', '-1', '') {
        bad("blockcast_$d \"$v\"",
            qr/"blockcast_$d \Q$v\E" is not a time like 30s or 500ms/,
            server => qq(location / { blockcast_echo; blockcast_$d "$v"; }));
    }

    bad("blockcast_$d twice", qr/"blockcast_$d" directive is duplicate/,
        server => "blockcast_$d 1s; blockcast_$d 1s;");
}

for my $v ('x', '-1', '') {
    bad("blockcast_max_message \"$v\"", qr/"blockcast_max_message" directive invalid value/,
        server => qq(blockcast_max_message "$v";));
}

bad("blockcast_max_queue $_", qr/blockcast_max_queue must be from 128k to 1024m/,
    server => "location / { blockcast_echo; blockcast_max_queue $_; }")
    for qw(0 127k 1025m);
bad('blockcast_max_message 1025m', qr/blockcast_max_message must not be larger than 1024m/,
    server => 'location / { blockcast_echo; blockcast_max_message 1025m; }');
bad('blockcast_max_message 0', qr/blockcast_max_message must be larger than 0/,
    server => 'location / { blockcast_echo; blockcast_max_message 0; }');

bad('blockcast_deflate maybe', qr/invalid value "maybe" in "blockcast_deflate" directive/,
    server => 'blockcast_deflate maybe;');

for my $d (qw(max_frame max_fragments max_subscriptions)) {
    for my $v ('x', '-1', '') {
        bad("blockcast_$d \"$v\"", qr/"blockcast_$d" directive invalid (?:value|number)/,
            server => qq(blockcast_$d "$v";));
    }
}

for my $v ('0', 'x', '-1', '', '10 20', '10 burst=0', '10 burst=', '10 bursts=5', 'on', '1000000001') {
    bad("blockcast_message_rate $v", qr/in "blockcast_message_rate" must be (?:burst= and )?a number from 1/,
        server => 'blockcast_message_rate ' . ($v eq '' ? '""' : $v) . ';');
}

for my $v ('0', 'x', '10 worker=0', '10 worker=', 'off') {
    bad("blockcast_max_connections $v",
        qr/in "blockcast_max_connections" must be (?:worker= and )?a number from 1/,
        http => "blockcast_max_connections $v;");
}

bad('blockcast_max_connections in a server',
    qr/"blockcast_max_connections" directive is not allowed here/,
    server => 'blockcast_max_connections 5;');

bad('blockcast_protocol xml', qr/invalid value "xml"/, server => 'blockcast_protocol xml;');

for my $v ('example.com', 'none', '*', '""') {
    (my $text = $v) =~ s/"//g;
    bad("blockcast_origin $v",
        qr/blockcast_origin "\Q$text\E" must be "same", "any" or like https:\/\/www\.example\.com/,
        server => "blockcast_origin $v;");
}

for my $v ('https://www.example.com/', 'https://*/app', 'same https://a.test/') {
    my ($text) = $v =~ /(\S+)$/;
    bad("blockcast_origin $v", qr/blockcast_origin "\Q$text\E" has a path, which no Origin has/,
        server => "blockcast_origin $v;");
}

bad('blockcast_guard perhaps', qr/invalid value "perhaps" in "blockcast_guard" directive/,
    server => 'blockcast_guard perhaps;');

bad('blockcast_tokens of a file that is not there', qr/nope".*No such file/,
    server => 'blockcast_tokens nope;');

{
    my $secret = 'sEcrEt' x 8;
    my ($out, $code) = conf_test(server => 'location / { blockcast_echo; blockcast_tokens t; }',
        files => { t => "$secret \"\n$secret a b c d\n" });
    is($code, 1, 'wrong: a bad line in blockcast_tokens');
    like($out, qr/line \d+ of blockcast_tokens/, 'names the line');
    unlike($out, qr/sEcrEt/, 'and does not show it');
}

for ([ 'blockcast_state;', qr/invalid number of arguments/ ],
     [ 'blockcast_state /tmp/;', qr/"\/tmp\/" is not the name of a file/ ],
     [ 'blockcast_state x interval=soon;', qr/"interval=soon" must be interval= and a time/ ],
     [ 'blockcast_state x every=1s;', qr/"every=1s" must be interval= and a time/ ],
     [ "blockcast_state x;\nblockcast_state y;", qr/is duplicate/ ])
{
    bad($_->[0] =~ s/\n/ /r, $_->[1], http => "$_->[0]\n");
}

bad('a state file without a zone', qr/^blockcast_state ".*\/x" in .*nginx\.conf:\d+ needs a blockcast_zone/,
    http => "# no blockcast_zone\nblockcast_state x;", no_node => 1);

bad('blockcast_drain x', qr/"blockcast_drain" directive invalid value/,
    http => 'blockcast_drain x;');

bad('blockcast_access_log middle', qr/invalid value "middle"/,
    http => 'blockcast_access_log middle;');

bad('blockcast_drain in a server', qr/"blockcast_drain" directive is not allowed here/,
    server => 'blockcast_drain 1s;');


# Every directive is in this file and in the README. If this fails, one is
# used by nobody but its author.

{
    my $root = $Blockcast::Test::ROOT;
    my ($self, $readme, $module, $stream) = map {
        open my $fh, '<', "$root/$_" or die "$_: $!\n";
        local $/;
        scalar <$fh>;
    } 't/10-config.t', 'README.md', 'src/ngx_http_blockcast_module.c',
        'src/conf/ngx_http_blockcast_conf_stream.c';

    # the rows of the two tables, of nginx's and of that of a stream's block

    my %inside = map { $_ => 1 } $stream =~ /^    \{ "(blockcast_\w+)", \d/mg;
    my %names = (%inside, map { $_ => 1 } $module =~ /^    \{ ngx_string\("(blockcast_\w+)"\),$/mg);
    my ($reference) = $readme =~ /^## Directives\n(.*?)^## /ms;
    my %headed = map { $_ => 1 } map { /(blockcast_\w+)/g } $reference =~ /^### (.*)/mg;

    ok(keys %names > 35, 'the directives are found in the source');
    is(keys %inside, 10, 'those inside of a stream, too');
    is(join(' ', grep { $self !~ /\b$_\b/ && $self !~ /\b@{[s|blockcast_||r]}\b/ } sort keys %names),
        '', 'each is tried here');
    is(join(' ', grep { !$headed{$_} } sort keys %names), '', 'each is in the README');
    is(join(' ', grep { !$names{$_} } sort keys %headed), '', 'and none there that is none');
}


# A wrong configuration on a reload. If this fails, a mistake stops a server
# that was running well.

my $t = Blockcast::Test->new(node => 1,
    http => 'blockcast_stream s { blockcast_call c net.stats; }',
    server => 'location /api/ { blockcast_api; }');

my $right = $t->{http};
my $pid = wait_for { ($t->worker_pids)[0] };

$t->write_conf(http => 'blockcast_stream s { blockcast_call c m; blockcast_jq "|"; }');
$t->allow(qr/jq program of stream "s": jq: error/);
$t->signal('HUP');

ok($t->wait_log(qr/\[emerg\].*jq program of stream "s": jq: error/),
    'a wrong configuration on reload is logged');
is(($t->worker_pids)[0], $pid, 'and the worker stays');
is($t->get('/api/streams')->{status}, 200, 'and serves');

$t->write_conf(http => $right);
ok($t->reload(gone => 10), 'and the corrected one is taken');

$t->stop;

done_testing();
