#!/usr/bin/perl

# What comes from others as text. If this fails, a node, a client or a file can
# forge lines of our log, get bytes to every client that are no JSON, or stop
# all workers with them; or a client that takes CBOR waits for ever for a
# message that CBOR has no words for.

use strict;
use warnings;

use Compress::Zlib qw(crc32);
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::RawNode;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::RawNode->new;

my $names = join '', map {
    "    blockcast_stream $_->[0] { blockcast_interval 50ms; blockcast_always on;"
        . " blockcast_call c $_->[0] timeout=5s; $_->[1] }\n"
} (
    [num => ''], [err => ''], [good => ''],
    [deep => q(blockcast_jq '.results.c, null, (if .results.c == 1 then null else "deep" end)
        | if . == "deep" then (reduce range(400) as $i (1; [.])) else . end';)],
    [data => q(blockcast_jq 'reduce range(.results.c) as $i (1; [.])';)],
    [lines => q(blockcast_log entries key=id keep=100;)],
    [jqerr => q(blockcast_jq 'if .results.c.say then error(.results.c.say) else .results.c end';)],
);

sub http {
    my ($dir) = @_;
    return "    blockcast_zone main 8m;\n    blockcast_drain 1s;\n    blockcast_state $dir/feeds;\n"
        . "    upstream node { server 127.0.0.1:$node->{port}; keepalive 8; }\n$names";
}

my $server = <<'EOS';
    location = /ws { blockcast_websocket; }
    location = /strict { blockcast_websocket; blockcast_origin http://good.example; }
    location /api { blockcast_api; }
    location = /rpc { blockcast_websocket; }
    location = /_node {
        blockcast_node;
        proxy_pass http://node/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
EOS

sub settle {
    my ($name) = @_;
    my $n = $node->asked($name);
    wait_for { $node->asked($name) >= $n + 3 } 30 * $slow or die "stream $name is not polled\n";
}

$node->set($_, 1) for qw(num err good deep data);
$node->set(lines => '{"entries":[{"id":1},{"id":2}]}');
$node->set(jqerr => '{"a":1}');

my $dir = File::Temp::tempdir(CLEANUP => 1);
chmod 0777, $dir;

my $t = Blockcast::Test->new(workers => 2, http => http($dir), server => $server);

sub row { ($t->get_json("/api/streams/$_[0]") // {}) }
sub seq { row($_[0])->{seq} // 0 }

ok(wait_for(sub { !grep { !seq($_) } qw(num err good deep data lines jqerr) }, 20 * $slow),
    'all is well');

# control characters of any kind, and bytes that are no UTF-8

sub clean {
    my ($name, $bytes) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $text = $bytes;
    my $valid = utf8::decode($text);
    my ($bad) = $text =~ /([\x00-\x09\x0b-\x1f\x7f\x{80}-\x{9f}\x{2028}\x{2029}])/;

    ok($valid && !defined $bad, "$name: text, and no control characters")
        or diag $valid ? sprintf 'U+%04X', ord $bad : 'no UTF-8';
}


my ($log, $before);

sub cbor {
    my $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $ws->recv_message;
    $ws->send_binary("\xa2dtypeisubscribefstreamcnum");
    return $ws;
}


# messages in CBOR up to one that matches

sub until_match {
    my ($ws, $pattern) = @_;
    my $m;
    do { $m = $ws->recv_message(20 * $slow) } until !defined $m || $m =~ $pattern;
    return $m;
}


subtest 'numbers that no double is near to, and one that CBOR has no words for' => sub {
    my @cbor = map { cbor() } 1 .. 8;
    ok(defined until_match($_, qr/ddata\x01/), 'a client that takes CBOR') for $cbor[0];

    for (['1e400' => 'c48219019001'], ['-1e-400' => 'c48239018f20'],
        ['[1e309,1.5]' => '82c48219013501f93e00'],
        ['1' . '0' x 400 => undef], ['9' x 1024 => undef], ['-1' . '0' x 3000 => 'c482190bb820'])
    {
        my ($json, $hex) = @$_;
        my $name = length $json > 30 ? length($json) . ' digits' : $json;
        my $as = defined $hex ? quotemeta pack 'H*', $hex : '\xc2\x58|\xc2\x59';
        $node->set(num => $json);
        ok(defined until_match($cbor[0], qr/ddata$as/), "$name comes, to its last digit");
        until_match($_, qr/ddata$as/) for @cbor[1 .. 7];
    }

    $log = $t->error_log;
    unlike($log, qr/CBOR/, 'nothing to complain of');

    $before = seq('num');

    for my $n (1 .. 6) {
        $node->set(num => "[$n," . '7' x 1025 . ']');
        my $m = until_match($cbor[0], qr/not_representable/);
        ok(defined $m, 'a number of too many digits is an error');
        like($m // '', qr/dtypeeerror.*gmessage.*number.*dcodeqnot_representablefstreamcnumcseq/s,
            'with type, sentence, code, stream and seq') if $n == 1;
        until_match($_, qr/not_representable/) for @cbor[1 .. 7];
    }

    is(seq('num'), $before + 6, 'each of them was a message');
    my $lines = () = $t->error_log =~ /holds a number that CBOR cannot represent/g;
    ok($lines >= 1 && $lines <= 2, 'one line of each worker for 48 of them') or diag $lines;

    my $late = cbor();
    ok(defined until_match($late, qr/not_representable/), 'who comes then is told, too');
    $node->set(num => 5);
    ok(defined until_match($_, qr/ddata\x05/), 'and the next message comes') for $late, $cbor[7];
};


subtest '... and of a log: the page, what is new, and what comes after it' => sub {
    my $lines_ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $lines_ws->recv_message;
    $lines_ws->send_binary("\xa2dtypeisubscribefstreamelines");
    ok(defined until_match($lines_ws, qr/gentries\x82/), 'the page of a log');
    $node->set(lines => '{"entries":[{"id":1},{"id":2},{"id":"long","n":' . '7' x 1025 . '}]}');
    like(until_match($lines_ws, qr/eerror|gentries/) // '', qr/not_representablefstreamelines/,
        'an entry that CBOR has no words for');
    $node->set(lines => '{"entries":[{"id":1},{"id":2},{"id":3}]}');
    like(until_match($lines_ws, qr/eerror|gentries/) // '', qr/gentries\x81\xa1bid\x03/, 'the next one comes');

    my $page_ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $page_ws->recv_message;
    $page_ws->send_binary("\xa2dtypeisubscribefstreamelines");
    ok(defined until_match($page_ws, qr/not_representablefstreamelines/), 'a page with it');
};


my $ws;

sub body { my $r = $t->get($_[0]); $r->{content} // $r->{body} }


sub all_strings {
    my ($v) = @_;
    return ref $v eq 'HASH' ? map { all_strings($_) } %$v
        : ref $v eq 'ARRAY' ? map { all_strings($_) } @$v : $v // '';
}


sub decoded {
    my ($name, $json) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $v = eval { $Blockcast::Test::JSON->utf8->decode($json) };
    my $text = join ' ', all_strings($v);
    utf8::encode($text);
    ok(defined $v, "$name is JSON");
    clean($name, $text);
}


subtest 'text of the node in the log and in messages' => sub {
    my $evil = 'a\u001b[31mb\nforged\u0000c\u0085d\u009be\u2028f\u2029g\u007fh';
    $ws = $t->ws('/ws');
    $node->set(err => qq({"code":-3,"message":"$evil\\ud800i"}), 'error');
    $node->set(jqerr => qq({"say":"$evil"}));
    ok(wait_for(sub { $t->error_log =~ /stream "err" failed: .*a.*i/ }, 20 * $slow), 'the error is logged');
    ok(wait_for(sub { $t->error_log =~ /stream "jqerr" failed/ }, 20 * $slow), 'and the program\'s');
    clean('the log', $t->error_log);
    unlike($t->error_log, qr/^forged/m, 'one line for each');
    $ws->send_json({ type => 'subscribe', stream => 'err' });
    ok(wait_for(sub { ($t->get('/api/health')->{content} // $t->get('/api/health')->{body}) =~ /31mb/ }, 20 * $slow),
        'health shows it');

    decoded($_, body($_)) for qw(/api/health /api/streams);

    # text of clients

    for my $c (['/ws' => undef, '{"type":"subscribe","stream":"x\u001b\u0085\u2028y"}'],
        ['/rpc' => 'jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["x\u009b\u2029y"]}'])
    {
        my ($path, $protocol, $text) = @$c;
        my $w = $t->ws($path, defined $protocol ? (subprotocol => $protocol) : ());
        $w->send_text($text);
        my $m;
        do { $m = $w->recv_message(10 * $slow) } until !defined $m || $m =~ /error/;
        decoded("the answer on $path", $m);
    }

    decoded('the answer to a bad path', body('/api/streams/x%1b%85%c2%9b%e2%80%a8%ff'));

    my $stranger = $t->ws('/strict', origin => "http://evil\x1b[2J\x9b\xff.example", may_fail => 1);
    is($stranger->status, 403, 'a foreign Origin');
    ok(wait_for(sub { $t->error_log =~ /the Origin "http:\/\/evil/ }, 20 * $slow), 'is logged');
    clean('the log', $t->error_log);
};


# What a program makes is JSON that everybody can read, or it is not published

subtest 'what a program makes is JSON that everybody can read' => sub {
    $before = seq('data');
    $node->set(data => 200);
    ok(wait_for(sub { seq('data') == $before + 1 }, 20 * $slow), '200 levels are published');
    $node->set(data => 300);
    ok(wait_for(sub { (row('data')->{error} // '') . $t->error_log =~ /256 levels|nested|depth/ }, 20 * $slow),
        'what is deeper than libjq prints is a failure with a sentence');
    settle('data');
    is(seq('data'), $before + 1, 'and nothing is published');
    unlike(body('/api/streams/data'), qr/stripped/, 'the last good data stays');
};


my $m;

sub spew {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
}


sub record {
    my (%r) = @_;

    my $entries = join '', map { pack('VV', length $_->[0], length $_->[1]) . $_->[0] . $_->[1] }
        @{ $r{entries} // [] };
    my $rest = pack('CCv VVVVV Q<Q<Q<', $r{type}, $r{log} // 0, length $r{name},
        $r{n} // scalar @{ $r{entries} // [] }, $r{nth} // 0, length($r{data} // ''),
        length($r{state} // ''), length $entries, $r{seq} // 0, $r{time} // time, $r{polled} // 0)
        . $r{name} . ($r{data} // '') . ($r{state} // '') . $entries;
    return pack('VV', 8 + length $rest, crc32 $rest) . $rest;
}


sub feeds {
    my ($from, @records) = @_;
    my $image = join '', @records;
    my $header = substr $from, 0, 64;
    substr($header, 32, 8) = pack 'Q<', length $image;
    substr($header, 12, 4) = pack 'V', crc32(substr $header, 16, 48);
    return $header . $image;
}


subtest 'anything may be in a state file' => sub {
    $t->signal('QUIT', $t->pid_file);
    wait_for { waitpid $t->{master}, 1; !$t->nginx_pids } 20 * $slow;

    my $file = Blockcast::Test::slurp("$dir/feeds");
    my $bad = '"}:[{"x":"';
    my ($SNAP, $KEPT, $ERROR, $SEQ) = (1, 3, 6, 7);

    # nobody polls meanwhile: what is seen is the file's
    $node->set($_, '{"code":-5,"message":"later"}', 'error') for qw(num err good deep data lines jqerr);
    spew("$dir/feeds", feeds($file,
        record(type => $SNAP, name => 'good', seq => 900, data => '{"a":"fine"}'),
        record(type => $SNAP, name => 'num', seq => 901, data => $bad),
        record(type => $SNAP, name => 'deep', seq => 902, data => '[' x 600 . ']' x 600),
        record(type => $SNAP, name => 'data', seq => 903, data => '1', state => $bad),
        record(type => $SNAP, name => 'jqerr', seq => 904, data => "\"\xff\""),
        record(type => $KEPT, log => 1, name => 'lines', seq => 910, entries => [['1', '{"id":1}']]),
        record(type => $KEPT, log => 1, name => 'lines', seq => 911, entries => [['2', $bad], ['3', '{"id":3}']]),
        record(type => $KEPT, log => 1, name => 'lines', seq => 912, entries => [['4.0', '{"id":4.0}']]),
        record(type => $SNAP, log => 1, name => 'lines', seq => 912, n => 1, data => $bad),
        record(type => $ERROR, name => 'err', data => "x\n\x1b\xc2\x85\xff forged", seq => 1),
        record(type => $SEQ, name => "a\n2026/01/01 [error] forged\x1b\xc2\x9b\xff", seq => 5)));

    $t->start;

    $log = $t->error_log;
    clean('the log', $log);
    unlike($log, qr/^2026\/01\/01 \[error\] forged/m, 'a name forges no line');
    like($log, qr/stream "num" of the state file: the data is not valid JSON: unexpected byte at offset \d+, it is left out/,
        'a sentence for data that is none');
    like($log, qr/stream "deep" of the state file: the data is not valid JSON: nested too deeply/, '... too deep');
    like($log, qr/stream "data" of the state file: the program's state/, '... a bad state');
    like($log, qr/stream "lines" of the state file: an entry/, '... a bad entry');

    like(body('/api/streams/good'), qr/"fine"/, 'what is good is there');
    for (qw(num deep jqerr)) {
        unlike(body("/api/streams/$_"), qr/"data":|\xff/, "no data of $_");
    }
    decoded($_, body($_)) for qw(/api/streams/data /api/streams/lines /api/health /api/streams);

    $ws = $t->ws('/ws');
    $ws->send_json({ type => 'subscribe', stream => 'lines', since => 909 });
    $m = $ws->recv_type('lines', 20 * $slow);
    is_deeply([map { $_->{id} } @{ $m->{data}{entries} }], [3, 4], 'the entries behind a bad one');
    is($m->{gap}{since}, 909, 'and a gap for that one');

    $node->set($_, 2) for qw(num data);
    $node->set(deep => 1);
    $node->set(lines => '{"entries":[{"id":4},{"id":5}]}');
    $node->set(jqerr => '{"a":2}');
    ok(wait_for(sub { seq('num') > 901 && seq('deep') > 902 && seq('jqerr') > 904 && seq('lines') > 912 },
        20 * $slow), 'numbers go on from those of the file');
    ok($m = $ws->recv_type('lines', 20 * $slow), 'a new entry');
    is_deeply([map { $_->{id} } @{ $m->{data}{entries} }], [5], '4 and 4.0 are the same');
};

$t->stop;
$node->stop;

done_testing();
