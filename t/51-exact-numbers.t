#!/usr/bin/perl

# Strings and large integers through jq programs, at every endpoint. If this
# fails, an amount loses its last digits on the way to a page, or whoever may
# write a memo on the chain writes members, numbers and calls of his own into
# what everybody gets.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $big = '18446744073709551615';
my $less = '18446744073709551614';
my $old = "\xee\x80\x80int:";           # the mark of 0.1, which anybody could write

# libjq 1.6 leaks in "index" of an array, which the sanitizer is right to report

my $index = $ENV{BLOCKCAST_SANITIZE} ? '(map(. == $x) | to_entries | map(select(.value).key) | .[0])' : 'index($x)';

# the programs of x.v, each of them a stream

my %programs = (
    same    => '.results.v',
    members => '{a: .results.v, b: {c: [.results.v, "x"]}}',
    sorted  => '.results.v | [sort, sort_by(.), unique, unique_by(.), min, max, min_by(.), max_by(.)]',
    grouped => '.results.v | [group_by(.), (map({k: .}) | group_by(.k) | map(map(.k)))]',
    less    => '.results.v | [.[0] < .[1], .[0] <= .[1], .[0] > .[1], .[0] >= .[1], .[0] == .[1], .[0] != .[1]]',
    lists   => '.results.v | [[.[0]] < [.[1]], {a: .[0]} < {a: .[1]}, [.[0]] == [.[1]], {a: .[0]} != {a: .[1]}]',
    find    => '.results.v as $v | [($v[2] as $x | $v | ' . $index . '), ($v[1] as $x | $v | ' . $index . '), ($v[1] | IN($v[])), ($v | contains([$v[2]]))]',
    keys    => '.results.v | {(.[0] | tostring): 1, ("k\(.[1])"): 2}',
    texts   => '.results.v | [.[] | [tostring, tojson, @text, @json, "\(.)", (tostring | length), (tostring | test("^-?[0-9]+$"))]]',
    nested  => '.results.v | [tojson, tostring, "\(.)", (tojson | length), ({a: .} | tojson | tojson)]',
    formats => '.results.v | [@csv, @tsv, @sh, @html, @uri, @base64, (map(tostring) | join("/")), join(",")]',
    caught  => '.results.v[0] as $v | [({} | try (. - $v) catch .), ($v | try .[] catch .), ($v | try keys catch .), ($v | try explode catch .), ($v | try test("1") catch .), ($v | try error catch .), ($v | try .a catch "index")]',
    kinds   => '.results.v[0] | [type, (tonumber | tostring), (fabs | type), (sqrt | floor), (try (ascii_downcase | "text") catch "no"), (try (split("4") | "text") catch "no")]',
    failing => 'error("not \(.results.v)")',
    raised  => 'error(.results.v)',
    shouted => '.results.v | tostring | error("\u0085\u007f" + . + ("\u00e9" * 200))',
    cut     => '.results.v[0] | [.[0:7]?, .[2:5]?, .[1:]?] | map(tostring) | map(gsub("[0-9]"; ""))',
    strange => '[.results.v | .. | strings]',
    inner   => '(.results.v | get_search_list | length), $ENV.PATH // null',
);

my $streams = join "\n", map { <<"EOC" } sort keys %programs;
    blockcast_stream p_$_ {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '$programs{$_}';
    }
EOC

my $t = Blockcast::Test->new(node => { rate_limit => 1000000 }, workers => 2,
    start => 0, http => $streams . <<'EOF', server => <<'EOS');
    blockcast_zone main 32m;
    blockcast_state %%PREFIX%%/state/feeds;

    blockcast_stream kept {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq '{v: .results.v, was: .state, same: (.state == .results.v), before: .previous.v}, .results.v,
            "a note of \(.results.v)"';
    }
    blockcast_stream bytes {
        blockcast_interval 100ms;
        blockcast_call v x.v;
    }
    blockcast_stream log {
        blockcast_interval 100ms;
        blockcast_call rows x.rows;
        blockcast_jq '{entries: .results.rows, newest: .last}';
        blockcast_log entries key=id;
    }
    blockcast_stream call {
        blockcast_node logged;
        blockcast_interval 100ms;
        blockcast_call a x.a;
        blockcast_call b x.b 'params_jq=[.results.a.name, .results.a.n]';
        blockcast_jq '{a: .results.a, b: .results.b}';
    }
    blockcast_stream odd {
        blockcast_interval 100ms;
        blockcast_stale 500ms;
        blockcast_call v x.odd;
        blockcast_jq '.results.v';
    }
    blockcast_stream both {
        blockcast_interval 100ms;
        blockcast_call v x.odd;
        blockcast_call w x.even;
        blockcast_jq '{v: .results.v, w: .results.w, e: (.errors | map_values(.message))}';
    }
    blockcast_stream each {
        blockcast_interval 100ms;
        blockcast_call v x.odd each=2 'params_jq=[1], [2]';
        blockcast_call w x.even;
        blockcast_jq '{w: .results.w, e: (.errors | keys)}';
    }
    blockcast_stream deep {
        blockcast_interval 100ms;
        blockcast_stale 500ms;
        blockcast_call n x.depth;
        blockcast_jq 'reduce range(.results.n) as $i (1; [.])';
    }
    blockcast_stream deepstate {
        blockcast_interval 100ms;
        blockcast_call n x.depth;
        blockcast_jq '.results.n, reduce range(.results.n) as $i (1; [.])';
    }
    blockcast_stream deepparams {
        blockcast_interval 100ms;
        blockcast_call n x.depth;
        blockcast_call b x.b 'params_jq=reduce range(.results.n) as $i (1; [.])';
        blockcast_jq '{n: .results.n, e: (.errors | map_values(.message))}';
    }
    blockcast_stream deeptexts {
        blockcast_interval 100ms;
        blockcast_call n x.depth;
        blockcast_call v x.text;
        blockcast_jq '[.results.v, (reduce range(.results.n) as $i (1; [.]) | tojson)]';
    }
    blockcast_stream functions {
        blockcast_interval 100ms;
        blockcast_call v x.v;
        blockcast_jq "def nobody: 1; . # ends in a comment";
    }
    blockcast_stream debug {
        blockcast_interval 100ms;
        blockcast_call v x.debug;
        blockcast_jq '.results.v | debug';
    }

    log_format body escape=none '$request_body';
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%PREFIX%%/body.log body;
        location / { proxy_pass http://%%NODE%%; proxy_set_header Host localhost; }
    }
EOF
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
    location /events { blockcast_sse; }
    location = /metrics { blockcast_metrics; }
    location = /_node { blockcast_node; proxy_pass http://%%NODE%%/; proxy_set_header Host localhost; }
    location = /_logged { blockcast_node logged; proxy_pass http://127.0.0.1:%%PORT1%%/; }
EOS

mkdir $t->prefix . '/state';
chmod 0777, $t->prefix . '/state';


# the data of the newest message, by WebSocket in two ways and as an event

sub by_ws {
    my ($n, $want) = @_;

    my $ws = $t->ws('/ws');
    my $got = '';

    $ws->send_text(qq({"type":"subscribe","stream":"$n"}));
    wait_for {
        my $m = $ws->recv_message(1);
        $got = $1 if defined $m && ref $m ? $m->{payload} =~ /"data":(.*),"timestamp"/s
            : defined $m && $m =~ /"data":(.*),"timestamp"/s;
        $got eq $want;
    } 30;
    $ws->drop;

    return $got;
}


# CBOR (RFC 8949) as JSON text, as much of it as is sent

sub cbor {
    my ($b) = @_;

    my $c = ord substr $$b, 0, 1, '';
    my ($major, $n) = ($c >> 5, $c & 31);

    if ($n > 23 && $n < 28) {
        my $len = 1 << ($n - 24);
        my $v = substr $$b, 0, $len, '';
        return unpack('d>', $v) + 0 if $major == 7 && $len == 8;
        $n = unpack { 1 => 'C', 2 => 'n', 4 => 'N', 8 => 'Q>' }->{$len}, $v;
    }

    return "$n" if $major == 0;
    return '-' . ($n + 1) if $major == 1;
    return JSON::PP->new->allow_nonref->encode(substr $$b, 0, $n, '') if $major == 3;
    return '[' . join(',', map { cbor($b) } 1 .. $n) . ']' if $major == 4;
    return '{' . join(',', map { my $k = cbor($b); "$k:" . cbor($b) } 1 .. $n) . '}' if $major == 5;
    return { 20 => 'false', 21 => 'true', 22 => 'null' }->{$n};
}


sub by_cbor {
    my ($n, $want) = @_;

    my $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    my $got = '';

    # {"type":"subscribe","stream":NAME}
    $ws->send_binary("\xa2\x64type\x69subscribe\x66stream" . chr(0x60 + length $n) . $n);
    wait_for {
        my $f = $ws->recv(1);
        if ($f && $f->{opcode} == 2) {
            my $b = $f->{payload};
            my $text = cbor(\$b);
            $got = $1 if $text =~ /"data":(.*),"timestamp"/s;
        }
        $got eq $want;
    } 30;
    $ws->drop;

    return $got;
}


sub by_sse {
    my ($n, $want) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or return '';
    my ($raw, $got) = ('', '');

    $s->syswrite("GET /events/$n HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    wait_for {
        vec(my $rin = '', fileno $s, 1) = 1;
        sysread $s, $raw, 65536, length $raw if select($rin, undef, undef, 0.5) > 0;
        my $text = $raw =~ s/\r\n[0-9a-f]+\r\n//gr;
        $got = $1 while $text =~ /"data":(.*?),"timestamp":\d+,"seq"/sg;
        $got eq $want;
    } 30;
    close $s;

    return $got;
}


sub everywhere {
    my ($n, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->becomes($n, $text, "$name: over HTTP");
    is(by_ws($n, $text), $text, "$name: in a WebSocket's text");
    is(by_sse($n, $text), $text, "$name: as an event");
    my $cbor = by_cbor($n, $text);
    is($cbor, $text, "$name: as CBOR");
}


$t->start;


# A string stays a string, whatever is in it. What was the mark is nothing else
# than other characters are.

my $memo;

subtest 'A string stays a string, whatever is in it' => sub {
    my @strings = (
        map({ s/"/${old}ab\\"/gr } '","owned":true,"amount":1e9,"provider":"forged', '"}:[{"x":"', '"', '\u0022'),
        map({ $old . $_ } '', '020' . $big, $big, "\xc3\xa9", "\xf0\x9f\x98\x80", '020', '\u0000', '\\\\'),
        '\ue000int:020' . $big, "a$old", "$old$old", "\xee\x80\x80", $big, '100000020' . $big,
        "\xf3\xb0\x80\x80\xf4\x8f\xbf\xbd", '\udbff\udffd\udb80\udc00', '<stripped: exceeds max depth>',
        '{\"a\":' . $big . '}', '\\\\\"', '\u001f\u007f', "\xc2\x85",
    );

    # as libjq writes strings: what need not be escaped is not

    my $decode = JSON::PP->new->utf8->allow_nonref;
    my $printed = join ',', map {
        my $s = $decode->decode(qq("$_"));
        $s =~ s/(["\\])/\\$1/g;
        $s =~ s/([\x00-\x1f\x7f])/sprintf '\u%04x', ord $1/ge;
        utf8::encode($s);
        qq("$s");
    } @strings;

    $t->set(v => '[' . join(',', map { qq("$_") } @strings) . ']');
    $t->becomes('p_same', "[$printed]", 'strings with what was a mark, quotes, backslashes');
    $t->set(v => "[$big," . join(',', map { qq("$_") } @strings) . ",-$big]");
    $t->becomes('p_same', "[$big,$printed,-$big]", 'and beside large integers');
    $t->becomes('p_strange', "[$printed]", 'as strings, all of them');
    $t->becomes('kept', qq({"v":[$big,$printed,-$big],"was":[$big,$printed,-$big],"same":true,)
        . qq("before":[$big,$printed,-$big]}), 'in .state and .previous');

    $memo = qq({"amount":$big,"memo":"${old}ab\\",${old}ab\\"owned${old}ab\\":true"});
    $t->set(v => $memo);
    everywhere('p_same', $memo, 'a forged memo');
    $t->set(rows => qq([{"id":$big,"memo":"$old"},{"id":$less,"memo":"$old\\""},{"id":"$big"}]));
    my $rows = qq([{"id":$big,"memo":"$old"},{"id":$less,"memo":"$old\\""},{"id":"$big"}]);
    everywhere('log', qq({"entries":$rows,"count":3}), 'entries of a log');

    # as a method or params of the node's it can do no harm either

    $t->set(a => qq({"name":"${old}ab\\"],${old}ab\\"method\\":\\"admin.stop","n":$big}));
    $t->set(b => '"b"');
    ok(wait_for(sub { $t->data('call') =~ /"b":"b"/ }, 30), 'a call with params of the node\'s strings');
    my $params = qq(["${old}ab\\"],${old}ab\\"method\\":\\"admin.stop",$big]);
    my $seen = '';
    wait_for {
        $t->data('call');
        my ($line) = grep { /"method":"x\.b"/ } reverse split /\n/, Blockcast::Test::slurp($t->prefix . '/body.log');
        ($seen) = ($line // '') =~ /"params":(.*)\}\s*\z/;
        ($seen // '') eq $params;
    } 30;
    is($seen, $params, 'is sent exactly as the program made it');
    unlike(Blockcast::Test::slurp($t->prefix . '/body.log'), qr/"method":"admin/, 'and is no method');
};


subtest 'integers, exactly' => sub {
    for my $v ($big, "-$big", '9007199254740992', '9007199254740993', '-9007199254740993', '12345678901234567890123') {
        $t->set(v => $v);
        $t->becomes('p_members', qq({"a":$v,"b":{"c":[$v,"x"]}}), "$v as it is");
    }

    $t->set(v => $big);
    everywhere('p_members', qq({"a":$big,"b":{"c":[$big,"x"]}}), 'a large integer');

    $t->set(v => "[$big,$less]");
    $t->becomes('p_less', '[false,false,true,true,false,true]', 'neighbours are compared by their digits');
    $t->becomes('p_lists', '[false,false,false,true]', 'in arrays and objects, too');
    $t->becomes('p_keys', qq({"$big":1,"k$less":2}), 'as names of members');
    $t->becomes('p_nested', qq(["[$big,$less]","[$big,$less]","[$big,$less]",43,"\\"{\\\\\\"a\\\\\\":[$big,$less]}\\""]),
        'as text of arrays');
    $t->set(v => "[-$big,-$less]");
    $t->becomes('p_less', '[true,true,false,false,false,true]', 'negative ones');
    $t->set(v => '[9007199254740993,9007199254740992]');
    $t->becomes('p_less', '[false,false,true,true,false,true]', 'the first ones that doubles mix up');
    $t->set(v => '[9007199254740992,9007199254740991]');
    $t->becomes('p_less', '[false,false,true,true,false,true]', 'and one of each kind');
    $t->set(v => "[$big,$big]");
    $t->becomes('p_less', '[false,true,false,true,true,false]', 'the same ones');
    $t->becomes('p_lists', '[false,false,true,false]', 'are the same in arrays and objects');

    $t->set(v => qq([5,$big,"$big",$less,-1,$big,null,-$big,[$less],9007199254740993,9007199254740992,{"a":$big}]));
    my $sorted = qq(null,-$big,-1,5,9007199254740992,9007199254740993,$less,$big,$big,"$big",[$less],{"a":$big});
    my $unique = qq(null,-$big,-1,5,9007199254740992,9007199254740993,$less,$big,"$big",[$less],{"a":$big});
    $t->becomes('p_sorted', qq([[$sorted],[$sorted],[$unique],[$unique],null,{"a":$big},null,{"a":$big}]),
        'sorted among all that JSON has');
    my $groups = qq([[null],[-$big],[-1],[5],[9007199254740992],[9007199254740993],[$less],[$big,$big],["$big"],[[$less]],[{"a":$big}]]);
    $t->becomes('p_grouped', "[$groups,$groups]", 'and grouped');
    $t->set(v => "[1,$big,$less]");
    $t->becomes('p_find', '[2,1,true,true]', 'found, and not taken for their neighbours');

    $t->set(v => "[$big,-$less,7]");
    $t->becomes('p_texts', '[' . join(',', map { my $l = length; qq(["$_","$_","$_","$_","$_",$l,true]) } $big, "-$less", 7) . ']',
        'as texts');
    $t->becomes('p_formats', qq(["$big,-$less,7","$big\\t-$less\\t7","$big -$less 7","[$big,-$less,7]","%5B$big%2C-$less%2C7%5D",)
        . qq("WzE4NDQ2NzQ0MDczNzA5NTUxNjE1LC0xODQ0Njc0NDA3MzcwOTU1MTYxNCw3XQ==","$big/-$less/7","$big,-$less,7"]),
        'in all formats');
    $t->becomes('p_kinds', qq(["number","$big","number",4294967296,"no","no"]), 'they are numbers to all functions');

    # errors, notes, the log: digits, and no marks, cut or not

    $t->set(v => "[$big]");
    $t->fails('p_shouted', qr/\A  (?:\[$big\]){1,12}[^\x00-\x1f\x7f-\x9f]*\z/, undef, 'a long error is cut, and has no control characters');
    $t->fails('p_failing', qr/\Anot \[$big\]\z/, undef, 'in the text of an error');
    $t->fails('p_raised', qr/\A\[$big\]\z/, undef, 'as an error');
    ok(wait_for(sub { $t->data('p_caught') =~ /\A\["object/ }, 30), 'errors that the program catches');
    my $caught = $t->data('p_caught');
    like($caught, qr/\A\["object \(\{\}\) and number \([^"]*\) cannot be subtracted","Cannot iterate over number/,
        'are those of a number') or diag($caught);
    unlike($caught, qr/string \(/, 'not of a string');
    like($caught, qr/,$big,"index"\]\z/, 'the thrown number is what it was');
    is($t->data('p_cut') =~ tr/\x20-\x7e//c, 0, 'a part of a number shows nothing of its mark') or diag($t->data('p_cut'));

    $t->set(debug => "[$big,\"$old\"]");
    $t->becomes('debug', "[$big,\"$old\"]", 'debug');
    ok($t->wait_log(qr/jq debug: \[$big,"$old"\]/, 30), 'writes the digits to the log');
    ok(wait_for(sub { $t->data('kept'); ($t->row('kept')->{note}{text} // '') eq "a note of [$big]" }, 30), 'and so does a note')
        or diag(explain($t->row('kept')));
    $t->becomes('functions', $t->data('functions'), 'a program that ends in a comment');
    like($t->data('functions'), qr/"results":\{"v":\[$big\]\}/, 'puts out its input');
    is($t->data('p_inner'), '1', 'a program does not see the mark');
};


# What a file keeps. If this fails, a restart changes numbers.

subtest 'what a file keeps' => sub {
    $t->set(v => $memo);
    $t->becomes('kept', qq({"v":$memo,"was":$memo,"same":true,"before":$memo}), 'before a restart');
    my $epoch = $t->row('kept')->{seq};
    $t->signal('QUIT');
    wait_for { !$t->nginx_pids } 30;
    waitpid $t->master_pid, 0;
    my $file = Blockcast::Test::slurp($t->prefix . '/state/feeds');
    ok(index($file, $memo) >= 0, 'the file has the text');
    unlike($file, qr/[\xf3\xf4][\x80-\xbf]{3}[\xf3\xf4][\x80-\xbf]{3}1000/, 'and no mark');
    $t->start;
    $t->becomes('kept', qq({"v":$memo,"was":$memo,"same":true,"before":$memo}), 'and after it');
};


# What libjq does not read. If this fails, good data is replaced by null, and
# nobody is told.

my ($ws, $wide);

subtest 'what libjq does not read' => sub {
    $t->set(odd => '{"height":7}');
    $t->becomes('odd', '{"height":7}', 'good data');

    my $r = "\xef\xbf\xbd";

    for (['"\ud800"', qq("$r")], ['"\udc00\ud800"', qq("$r$r")], ['"\ud800\ud83d\ude00"', qq("$r\xf0\x9f\x98\x80")],
        ['{"a\ud800":["x\udfffy",{"b":"\uDBFF"}]}', qq({"a$r":["x${r}y",{"b":"$r"}]})],
        ['{"height":8,"moniker":"\ud800"}', qq({"height":8,"moniker":"$r"})],
        ['["\\\\ud800",' . $big . ',"\ud800"]', qq(["\\\\ud800",$big,"$r"])])
    {
        $t->set(odd => $_->[0]);
        $t->becomes('odd', $_->[1], "a lone surrogate: $_->[0]");
    }

    is($t->row('odd')->{state}, 'live', 'such a stream is live');
    $t->set(v => '{"m":"\ud800"}');
    $t->becomes('bytes', '{"m":"\ud800"}', 'without a program it is the same bytes');

    $t->set(even => 2);
    $t->set(odd => '{"height":9}');
    $t->becomes('odd', '{"height":9}', 'good data again');
    my $metric = sub {
        my ($stream) = @_;
        $t->get('/metrics')->{body} =~ /^blockcast_call_errors_total\{stream="$stream",[^}]*call="v"[^}]*\} (\d+)/m ? $1 : undef;
    };
    my $before = $metric->('odd');
    my $depth = 300;
    my $nested = ('[' x $depth) . ('{"a":' x 70) . 1 . ('}' x 70) . (']' x $depth);
    $ws = $t->ws('/ws');
    $ws->subscribe('odd');
    $t->set(odd => $nested);

    # a libjq that reads it (1.8) meets the limit behind the program

    my $error = '';
    wait_for { $t->data('odd'); ($error = $t->row('odd')->{error} // '') =~ /nested too deeply/ } 30;
    like($error, qr/nested too deeply/, 'a result of 370 levels fails the poll');
    is($t->data('odd'), '{"height":9}', 'and the last good data is kept');
    $wide = $error =~ /output 1/;

    SKIP: {
        skip 'this libjq reads more levels', 9 if $wide;

        $t->fails('odd', qr/\Ax\.odd: the result is nested too deeply for the jq program\z/, '{"height":9}',
            'a result that is nested too deeply is a failed call');
        ok($t->wait_log(qr/\[error\].*poll of stream "odd" failed: x\.odd: the result is nested/, 30), 'is logged');
        ok(wait_for(sub { $metric->('odd') > $before }, 30), 'is counted');
        ok(wait_for(sub { $t->data('odd'); $t->row('odd')->{state} eq 'stale' }, 30), 'and the stream becomes stale');
        $t->becomes('both', '{"v":null,"w":2,"e":{"v":"the result is nested too deeply for the jq program"}}',
            'of two calls, it is the other one that goes on');
        ok($t->wait_log(qr/\[warn\].*call "v" of stream "both" failed: x\.odd: the result is nested/, 30), 'with a line in the log');
        $t->becomes('each', '{"w":2,"e":["v"]}', 'with each=, too');
        $t->set(odd => '{"height":10}');
        $t->becomes('odd', '{"height":10}', 'it goes on when it can be read');
    }

    $ws->drop;
};


# What cannot be kept. If this fails, clients get what is no JSON.

subtest 'what cannot be kept' => sub {
    $t->set(depth => 250);
    my $at = ('[' x 250) . 1 . (']' x 250);
    $t->becomes('deep', $at, 'data of 250 levels');
    $t->becomes('deepstate', '250', 'a state of 250 levels');
    $t->set(text => '"<x"');
    $t->becomes('deeptexts', qq(["<x","$at"]), 'text of 250 levels');

    for my $n (257, 258, 300, 2000) {
        $t->set(depth => $n);
        $t->fails('deep', qr/\Aoutput 1 of the jq program is nested too deeply, at most 256 levels can be kept\z/, $at,
            "data of $n levels is refused");
        $t->fails('deepstate', qr/\Aoutput 2 of the jq program is nested too deeply/, '250', "a state of $n levels, too");
        $t->becomes('deepparams', qq({"n":$n,"e":{"b":"params: output 1 of the jq program is nested too deeply, at most 256 levels can be kept"}}),
            "and params of $n levels");
        $t->fails('deeptexts', qr/\Aoutput 1 of the jq program is nested too deeply/, qq(["<x","$at"]), "and text of $n levels")
            if $n == 300 && !$wide;
        $t->set(depth => 250);
        $t->becomes('deep', $at, 'it goes on');
    }

    for ('"<stripped: exceeds max depth>"', '"\u003cstripped: exceeds max depth\u003e"') {
        $t->set(text => $_);
        $t->becomes('deeptexts', qq(["<stripped: exceeds max depth>","$at"]), 'what libjq writes there may be in a text');
        $t->set(text => '"<x"');
        $t->becomes('deeptexts', qq(["<x","$at"]), 'or not');
    }

    unlike($t->error_log, qr/stripped|bc_[a-z]|[\xf3\xf4][\x80-\xbf]{3}1000/, 'nothing of the inside is in the log');
};

$t->stop;

done_testing();
