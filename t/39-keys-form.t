#!/usr/bin/perl

# One form of keys, by a program. If this fails, one account has two entries
# that are asked for twice, a wallet that writes its address in another way is
# refused, or one client's nonsense keeps the keys of all others waiting.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::KeyNode;
use Blockcast::Test;

my $node = Blockcast::KeyNode->new;
my $JSON = JSON::PP->new->canonical->allow_nonref;

my $http = <<'EOS';
    blockcast_zone main 8m;
    blockcast_stream one {
        blockcast_interval 200ms;
        blockcast_jq_timeout 200ms;
        blockcast_key account pattern=[0-9a-z]+ max=1000
            'form=if . == "none" then empty
                  elif . == "two" then "a", "b"
                  elif . == "number" then 5
                  elif . == "void" then ""
                  elif . == "long" then [range(130) | "x"] | add
                  elif . == "odd" then "a b"
                  elif . == "upper" then "A"
                  elif . == "wrong" then error("no such account")
                  elif . == "worse" then error({a: 1})
                  elif startswith("loop") then until(false; .)
                  else ascii_downcase | ltrimstr("acct:") end # as it is
                 ';
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream hex {
        blockcast_interval 200ms;
        blockcast_key account 'pattern=(?:eth:)?(0x[0-9a-f]+)' lower=on
            'form=def prefix: if test("^(eth:)?0x"; "i") then . else "0x" + . end; prefix';
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream own {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z]+ form=ascii_downcase secret_file=secret;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream many {
        blockcast_interval 60s;
        blockcast_key account pattern=[a-z0-9]+ max=1000 form=ascii_downcase;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
    blockcast_stream plain { blockcast_interval 100ms; blockcast_call c k.head; }
EOS

my $server = <<"EOS";
        location /ws { blockcast_websocket; blockcast_max_keys 1000; blockcast_message_rate 10000; }
        location /listed { blockcast_websocket; blockcast_allow_keys "one/mine, one/ours*"; }
        location /api/ { blockcast_api; }
        location /one { blockcast_rest one; }
        location /hex { blockcast_rest hex; }
        location /own { blockcast_rest own; }
        location /events { blockcast_sse; }
        location /rpc {
            blockcast_rpc;
            blockcast_rpc_subscription one stream=one key=0 notify=note unsubscribe=unone first=on;
            blockcast_rpc_subscription hex stream=hex key=who notify=note unsubscribe=unhex first=on;
        }
        location = /n { blockcast_node batch=20; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS

my $t = Blockcast::Test->new(workers => 2, start => 0, http => $http, server => $server);
$t->allow(qr/\[error\]|jq process/);

my $secret = 'a secret of some length';
for my $folder ('', '/conf') {
    open my $file, '>', $t->prefix . "$folder/secret" or next;
    print $file "$secret\n";
    close $file;
}
$t->start;

$node->set(abc => 7, '0xab' => 8);


# What each endpoint says of a key: its one form and the data, or the sentence
# with which it is refused.

sub until_said {
    my ($ws, $code) = @_;
    my $said;
    wait_for { my $m = $ws->recv_json(1) or return 0; $said = $code->($m) } 20;
    $ws->close;
    return $said // 'nothing';
}

sub own {
    my ($m) = @_;
    return $m->{message} if $m->{type} eq 'error';
    return "$m->{key} $m->{data}" if exists $m->{data};
    return "$m->{key} refused: $m->{error}" if ($m->{error} // '') ne '';
    return;
}

sub websocket {
    my (%how) = @_;
    return sub {
        my ($stream, $key) = @_;
        my $ws = $t->ws('/ws');
        $ws->recv_type('welcome');
        $ws->send_json({ type => 'subscribe', stream => $stream, $how{many} ? (keys => [$key]) : (key => $key) });
        return until_said($ws, \&own);
    };
}

sub cbor {
    my ($stream, $key) = @_;
    my $ws = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
    $ws->send_json({ type => 'subscribe', stream => $stream, key => $key });
    my $said;
    wait_for {
        my $f = $ws->recv(1) or return 0;
        my $text = $f->{payload};

        # texts of up to 255 bytes, and small integers
        my $string = sub {
            my ($name) = @_;
            my $head = chr(0x60 + length $name) . $name;
            return substr $2, 0, ord($1) - 0x60 if $text =~ /\Q$head\E([\x60-\x77])(.*)/s;
            return substr $2, 0, ord $1 if $text =~ /\Q$head\E\x78(.)(.*)/s;
            return;
        };
        if ($text =~ /dtypeeerror/) {
            $said = $string->('message');
        } elsif ($text =~ /ddata([\x00-\x17])/) {
            my $n = ord $1;
            $said = $string->('key') . " $n";
        }
        return defined $said;
    } 20;
    $ws->close;
    return $said // 'nothing';
}

sub subprotocol {
    my ($stream, $key) = @_;
    my $ws = $t->ws('/ws', subprotocol => 'jsonrpc');
    $ws->send_json({ jsonrpc => '2.0', id => 1, method => 'subscribe', params => [$stream, { key => $key }] });
    return until_said($ws, sub {
        my ($m) = @_;
        return $m->{error}{message} if $m->{error};
        return $m->{params} ? own($m->{params}{result}) : undef;
    });
}

# of chains' own libraries: the notification has the data alone

sub rpc {
    my ($batch) = @_;
    return sub {
        my ($stream, $key) = @_;
        return if $stream !~ /^(one|hex)$/;
        my $ws = $t->ws('/rpc');
        my $call = { jsonrpc => '2.0', id => 1, method => $stream, params => $stream eq 'one' ? [$key] : { who => $key } };
        $ws->send_json($batch ? [{ jsonrpc => '2.0', id => 0, method => 'no' }, $call] : $call);
        return until_said($ws, sub {
            my ($m) = @_;
            ($m) = grep { $_->{id} } @$m if ref $m eq 'ARRAY';
            return $m->{error}{message} if $m->{error};
            return $m->{params} ? "? $m->{params}{result}" : undef;
        });
    };
}

sub events {
    my ($path) = @_;
    return sub {
        my ($stream, $key) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
        print $socket "GET $path$stream/$key HTTP/1.0\r\nHost: x\r\n\r\n";
        my $text = '';
        my $said;
        wait_for {
            IO::Select->new($socket)->can_read(0.2) and sysread($socket, $text, 65536, length $text);
            return $said = $1 if $text =~ m{\AHTTP/1.1 (?:400|503) .*?\r\n\r\n(.+)\n}s;
            return $text =~ /^data: (\{"type":"$stream".*\})/m && defined($said = own($JSON->decode($1)));
        } 20;
        return $said // 'nothing';
    };
}

# REST has what is there: it is asked again until the node has answered

sub rest {
    my ($path) = @_;
    return sub {
        my ($stream, $key) = @_;
        my $said;
        wait_for {
            my $r = $t->get($path->($stream, $key));
            return 0 if $r->{status} == 503 && $r->{body} !~ /try again/;
            my $m = $JSON->decode($r->{body});
            $said = $r->{status} != 200 ? $m->{message} : ref $m ? own($m) : "? $m";
        } 20;
        return $said // 'nothing';
    };
}

my @endpoints = (
    ['WebSocket'        => websocket()],
    ['WebSocket, keys'  => websocket(many => 1)],
    ['CBOR'             => \&cbor],
    ['JSON-RPC'         => \&subprotocol],
    ['rpc'              => rpc()],
    ['rpc, batch'       => rpc(1)],
    ['events'           => events('/events/')],
    ['events of some'   => events('/events?streams=plain,')],
    ['REST'             => rest(sub { "/api/streams/$_[0]/$_[1]" })],
    ['blockcast_rest'   => rest(sub { "/$_[0]/$_[1]" })],
    ['blockcast_rest, argument' => rest(sub { "/$_[0]?key=$_[1]" })],
    ['long poll'        => rest(sub { "/api/streams/$_[0]/$_[1]?wait=20s&after=0" })],
);

for my $case (
    ['one', 'abc', 'abc 7'], ['one', 'ABC', 'abc 7'], ['one', 'Acct:aBc', 'abc 7'],
    ['hex', '0xAB', '0xab 8'], ['hex', 'ab', '0xab 8'], ['hex', 'Eth:0XaB', '0xab 8'],
    ['one', 'none', qr/"none" is no account of stream one: form= puts out nothing/],
    ['one', 'two', qr/"two" is no account of stream one: form= puts out more than one value/],
    ['one', 'number', qr/"number" is no account of stream one: form= puts out number, no string/],
    ['one', 'void', qr/"void" is no account of stream one: its form is empty/],
    ['one', 'long', qr/"long" is no account of stream one: its form is too long/],
    ['one', 'odd', qr/"odd" is no account of stream one/],
    ['one', 'upper', qr/"upper" is no account of stream one/],
    ['one', 'wrong', qr/"wrong" is no account of stream one: no such account/],
    ['one', 'worse', qr/"worse" is no account of stream one: .*a.*1/],
    ['one', 'no-match', qr/"no-match" is no account of stream one/],
    ['hex', 'xyz', qr/"xyz" is no account of stream hex/],
    )
{
    my ($stream, $key, $want) = @$case;

    for my $endpoint (@endpoints) {
        my ($name, $code) = @$endpoint;
        my $said = $code->($stream, $key);

        if (ref $want) {
            like($said, $want, "$name: $stream/$key is refused, with a sentence");
        } else {
            $want =~ s/^\S+/?/ if $said =~ /^\?/;
            is($said, $want, "$name: $stream/$key");
            $want = $case->[2];
        }
    }
}

my ($row) = grep { $_->{name} eq 'hex' } @{ $t->get_json('/api/streams')->{streams} };
is($row->{keys}{kept}, 1, 'in whatever form: it is one key') if exists $row->{keys}{kept};


# Reads messages until the code says that it has all.

sub all_of {
    my ($ws, $code) = @_;
    my $end = time + 60;
    while (time < $end) {
        my $m = $ws->recv_json(1) or next;
        return 1 if $code->($m);
    }
    return 0;
}


# What is sent in one go is dealt with in its order.

{
    my $ws = $t->ws('/ws');
    $ws->recv_type('welcome');
    $ws->send_raw(join '', map { $ws->frame(payload => $JSON->encode($_)) }
        { type => 'subscribe', stream => 'one', key => 'ORDER' },
        { type => 'ping', id => 1 },
        { type => 'unsubscribe', stream => 'one', key => 'Acct:Order' },
        { type => 'subscribe', stream => 'one', keys => ['FIRST', 'none', 'First', 5, 'SECOND'] },
        { type => 'ping', id => 2 });

    my @said;
    wait_for {
        my $m = $ws->recv_json(1) or return 0;
        push @said, join ' ', grep { defined } $m->{type}, $m->{key}, $m->{id} if $m->{type} =~ /^(subscribed|unsubscribed|pong|error)$/;
        return ($m->{id} // 0) == 2;
    } 20;
    is_deeply(\@said, ['subscribed order', 'pong 1', 'unsubscribed order', 'subscribed first', 'error none', 'subscribed first',
        'error', 'subscribed second', 'pong 2'], 'messages in one go are dealt with in their order');

    $ws->send_json({ type => 'subscribe', stream => 'many', keys => [map { "KEY$_" } 1 .. 700], id => 3 });
    $ws->send_json({ type => 'ping', id => 4 });
    my $n = 0;
    all_of($ws, sub {
        my ($m) = @_;
        $n++ if $m->{type} eq 'subscribed' && $m->{key} =~ /^key\d+$/;
        return ($m->{id} // 0) == 4 && $m->{type} eq 'pong';
    });
    is($n, 700, 'many in one message are run together');
    $ws->close;
}


# Who may: by a list, and by a signature, of the one form.

{
    my $ws = $t->ws('/listed');
    my %said;
    for my $key ('MINE', 'acct:OursToo', 'his') {
        $ws->send_json({ type => 'subscribe', stream => 'one', key => $key });
        wait_for { my $m = $ws->recv_json(1) or return 0; $m->{type} =~ /^(subscribed|error)$/ && ($said{$key} = $m) } 20;
    }
    is($said{MINE}{type}, 'subscribed', 'a list has the one form');
    is($said{'acct:OursToo'}{type}, 'subscribed', '... or begins as it does');
    is($said{his}{code}, 'forbidden_key', '... and others are not in it');

    my $until = time + 100;
    $until =~ s/\..*//;
    my $signature = hmac_sha256_hex("own\nabc\n$until", $secret);
    ok(scalar(wait_for { $t->get("/own/ABC?expires=$until&signature=$signature")->{status} == 200 } 20), 'a signature is of the one form');
    is($t->get("/own/abd?expires=$until&signature=$signature")->{status}, 403, '... and good for that alone');
}


# A program that does not end, or whose process dies: that can be tried again,
# and others are served.

sub helpers { grep { Blockcast::Test::_title($_) =~ /^nginx: blockcast jq *$/ } $t->processes }

for my $endpoint (@endpoints) {
    my ($name, $code) = @$endpoint;
    my $key = "loop$name";
    $key =~ s/\W//g;
    like($code->('one', $key), qr/"$key" of stream one cannot be compared just now, try again: the jq program was stopped after 200 ms/,
        "$name: a program that does not end is stopped, and that is said");
}
is($endpoints[0][1]->('one', 'ABC'), 'abc 7', 'others have their keys');

{
    my $ws = $t->ws('/ws');
    $ws->recv_type('welcome');
    $ws->send_json({ type => 'subscribe', stream => 'plain' });
    $ws->recv_type('plain');
    my $said;
    wait_for {
        my $evil = $t->ws('/ws');
        $evil->recv_type('welcome');
        $evil->send_json({ type => 'subscribe', stream => 'one', key => 'loopkill' . int rand 1e9 });
        my $end = time + 20;
        until ($said || time > $end) {
            kill 'KILL', helpers();
            my $m = $evil->recv_json(0.05) or next;
            $said = $m->{message} if $m->{type} eq 'error';
        }
        $evil->close;
        return ($said // '') =~ /killed/ || ($said = undef);
    } 40;
    like($said, qr/cannot be compared just now, try again: the process of the jq program was killed/, 'a process that dies: so it is said');
    ok(scalar(wait_for { $endpoints[0][1]->('one', 'AFTER' . int rand 1e9) =~ /^after\d+ 0/ } 20), '... and it goes on with another one');
    $ws->send_json({ type => 'ping' });
    ok($ws->recv_type('pong'), 'whoever asks for no key notices nothing');
    $ws->close;
}


# A client that asks for another key all the time, and more that wait than may:
# others wait in one line with it, and no line is endless.

{
    my $ws = $t->ws('/ws');
    $ws->recv_type('welcome');

    my $n = 0;
    my $evil = $t->ws('/ws');
    $evil->recv_type('welcome');
    for (1 .. 500) {
        $evil->send_json({ type => 'subscribe', stream => 'many', key => 'EVIL' . $n });
        $evil->send_json({ type => 'unsubscribe', stream => 'many', key => 'Evil' . $n++ });
        while ($evil->recv_json(0)) { }
    }
    is(websocket()->('one', 'Calm'), 'calm 0', 'a client that asks for another key all the time: others get theirs');
    $evil->send_json({ type => 'ping', id => 9 });
    ok(all_of($evil, sub { $_[0]{type} eq 'pong' }), '... and so does it');
    $evil->close;

    # of both workers
    my (@wait, $refused);
    for my $i (1 .. 700) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
        print $socket "GET /api/streams/one/loopmany$i HTTP/1.0\r\nHost: x\r\n\r\n";
        push @wait, $socket;
    }
    wait_for {
        for my $socket (IO::Select->new(@wait)->can_read(0.2)) {
            my $n = sysread $socket, my $text, 65536;
            $refused = $text if $n && $text =~ /many keys are asked for/;
            @wait = grep { $_ != $socket } @wait;
        }
        return $refused;
    } 40;
    like($refused // '', qr/\AHTTP\S+ 503 .*^Retry-After: 5\r.*"code|"error":"busy".*try again: many keys are asked for/ms,
        'too many that wait: the others are told to try again');
    is($t->get('/api/streams/plain')->{status}, 200, '... and what has no key is there');
    $_->close for @wait;
    ok(scalar(wait_for { websocket()->('one', 'Then') eq 'then 0' } 60), 'when they have left, others have their turn');
}


# A reload, and the end, while some wait.

{
    my @ws = map { my $w = $t->ws('/ws'); $w->recv_type('welcome'); $w } 1 .. 4;
    $ws[$_]->send_json({ type => 'subscribe', stream => 'one', key => "loopend$_" }) for 0 .. 3;
    $_->drop for @ws[0, 1];
    $t->reload;
    is(websocket()->('one', 'ABC'), 'abc 7', 'after a reload');
    my $w = $t->ws('/ws');
    $w->send_json({ type => 'subscribe', stream => 'one', key => 'looplast' });
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port) or die $!;
    print $socket "GET /events/one/looplast2 HTTP/1.0\r\nHost: x\r\n\r\n";
    sleep 0.1;
}

$t->stop;
unlike($t->error_log, qr/\[(alert|emerg|crit)\]|open socket/, 'nothing is left');


# What cannot be configured.

for my $case (
    ['form=nonsense(', qr/form= of blockcast_key in stream "s": .*syntax error/],
    ['form=nonsense', qr/form= of blockcast_key in stream "s": .*nonsense\/0 is not defined/],
    ["'form=include \"x\"; .'", qr/form= of blockcast_key in stream "s": /],
    ['form=', qr/form= of blockcast_key in stream "s" needs a program/],
    )
{
    my ($form, $why) = @$case;
    my $c = Blockcast::Test->new(start => 0, http => <<"EOS", server => '        location = /n { blockcast_node; proxy_pass http://127.0.0.1:1; }');
    blockcast_zone main 4m;
    blockcast_stream s { blockcast_key a pattern=a $form; blockcast_call b k.raw 'params_jq=[.key]'; }
EOS
    my ($text, $code) = $c->test_conf;
    is($code, 1, "refused: $form");
    like($text, $why, '... with a sentence');
}

$node->stop;
done_testing();
