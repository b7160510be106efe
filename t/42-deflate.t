#!/usr/bin/perl

# What the server sends compressed (RFC 7692), and as merge patches (RFC 7396).
# If this fails, a browser that negotiated compression sees garbage or pays for
# every byte, a page that asked for deltas shows numbers that no node said, or
# the server compresses the same message once for every client.

# lane: waits

use strict;
use warnings;

use Compress::Raw::Zlib;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Test;

my $t = Blockcast::Test->new(node => { dialect => 'seed' }, workers => 2,
    http => <<'EOF', server => <<'EOS');
    blockcast_zone main 8m;

    blockcast_stream big {
        blockcast_interval  50ms;
        blockcast_call      c  test.big;
    }
    blockcast_stream small {
        blockcast_interval  50ms;
        blockcast_call      c  test.small;
    }
    blockcast_stream ledger {
        blockcast_interval  50ms;
        blockcast_call      c  test.ledger;
        blockcast_jq        '{entries: .results.c}';
        blockcast_log       entries key=id page=100;
    }
EOF
    location = /ws { blockcast_websocket; add_header X-Worker $pid always; }
    location = /off { blockcast_websocket; blockcast_deflate off; }
    location /api/ { blockcast_api; }
EOS

my $json = JSON::PP->new->canonical->allow_nonref->allow_bignum;


# The node's next answer to a method: a text, sent byte for byte.

sub rest { $t->get("/api/streams/$_[0]")->{body} }


# A client that offers $offer (nothing: no compression) and keeps every frame.

sub client {
    my ($offer, %opt) = @_;

    my $ws = $t->ws($opt{path} // '/ws', headers => defined $offer
        ? [['Sec-WebSocket-Extensions', $offer]] : []);

    $ws->recv;
    return $ws;
}


sub subscribe {
    my ($ws, $stream, %more) = @_;

    $ws->send_json({ type => 'subscribe', stream => $stream, %more });
    return next_of($ws, qr/"type":"subscribed","stream":"$stream"/);
}


sub plain {
    my ($frame, $bits) = @_;

    return $frame->{payload} unless $frame->{rsv} & 4;

    my ($i) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -($bits // 15));
    my $in = $frame->{payload} . "\0\0\xff\xff";
    my $rc = $i->inflate($in, my $out);

    return $rc == Z_OK || $rc == Z_STREAM_END || $rc == Z_BUF_ERROR ? $out
        : "cannot be inflated: $rc";
}


# The next message whose text is like this, as frame and text.

sub next_of {
    my ($ws, $re, $bits) = @_;
    my $end = time + 30;

    while (time < $end) {
        my $f = $ws->recv($end - time) or last;
        next unless $f->{opcode} == 1 || $f->{opcode} == 2;
        my $text = plain($f, $bits);
        return ($f, $text) if $text =~ $re;
    }

    return;
}


sub big {
    my ($mark, $n) = @_;
    return '{"mark":' . $mark . ',"rows":[' . join(',',
        map { qq({"name":"node number $_","weight":@{[$_ * 7919 % 1000]}}) } 1 .. $n // 60)
        . ']}';
}


my $pmd = 'permessage-deflate; client_max_window_bits';


# One compression for all: the same bytes on every connection and in every
# worker.

my (@all, $none, $off, @got, $late);

subtest 'one compression for all' => sub {
    $t->set('test.big', big(1));
    $t->set('test.small', '{"n":1}');
    $t->set('test.ledger', '[]');

    @all = map { client($pmd) } 1 .. 8;
    $none = client(undef);
    $off = client($pmd, path => '/off');

    subscribe($_, 'big') for @all, $none, $off;

    $t->set('test.big', big(2));

    @got = map { [next_of($_, qr/"mark":2\b/)] } @all;
    my ($plain_frame, $plain) = next_of($none, qr/"mark":2\b/);
    my ($off_frame, $off_text) = next_of($off, qr/"mark":2\b/);

    is(scalar(grep { $_->[0] && $_->[0]{rsv} == 4 && $_->[0]{fin} } @got), 8,
        'a broadcast is compressed for those who negotiated it');
    is(scalar(grep { $_->[1] eq $plain } @got), 8, 'and holds the text');
    my %bytes = map { $_->[0]{payload} => 1 } @got;
    is(scalar keys %bytes, 1, 'the same bytes for all of them, in both workers');
    cmp_ok($got[0][0]{size}, '<', $plain_frame->{size} / 3, 'which are few');
    is($plain_frame->{rsv}, 0, 'not for those who did not');
    is($off->header('sec-websocket-extensions'), undef,
        'blockcast_deflate off: not negotiated');
    is($off_frame->{rsv}, 0, 'and not used');
    is($off_text, $plain, 'with the same text');

    $late = client($pmd);
    $late->send_json({ type => 'subscribe', stream => 'big' });
    my ($first) = next_of($late, qr/"mark":2\b/);
    is($first->{payload}, $got[0][0]{payload},
        'a latecomer is sent the same bytes');
};


subtest 'messages that are not worth it' => sub {
    $all[0]->send_json({ type => 'subscribe', stream => 'small' });
    my ($small) = next_of($all[0], qr/"type":"small"/);
    is($small->{rsv}, 0, 'a small message is not compressed');

    $all[0]->send_json({ type => 'ping', id => 'x' x 126 });
    my ($pong) = next_of($all[0], qr/"pong"/);
    is($pong->{rsv}, 0, 'nor is an answer');

    $t->set('test.big', '"' . join('', map { sprintf '%04x', rand 65536 } 1 .. 1000) . '"');
    my ($hex) = next_of($all[1], qr/^\{"type":"big","data":"/);
    is($hex->{rsv}, 4, 'digits are');

    $t->set('test.big', '"' . join('', map { ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '+', '-',
        split //, '!#$%&()*.,:;<=>?@[]^_{|}~')[rand 88] } 1 .. 4000) . '"');
    my ($noise) = next_of($all[1], qr/^\{"type":"big","data":"(?![0-9a-f]{100})/);
    ok($noise, 'what hardly gets smaller comes all the same');
};


subtest 'windows of a client: what it cannot inflate it is not sent' => sub {
    for my $bits (8 .. 15) {
        my $ws = client("permessage-deflate; server_max_window_bits=$bits");

        subscribe($ws, 'big');
        $t->set('test.big', big("1$bits", 4));
        my ($f, $text) = next_of($ws, qr/"mark":1$bits\b/, $bits == 8 ? 9 : $bits);

        like($text // '', qr/"mark":1$bits,.*node number 4/,
            "server_max_window_bits=$bits: a message comes");

        if ($f->{rsv}) {
            cmp_ok(length $text, '<=', 1 << $bits, 'compressed, it is no longer than the window');
        } else {
            cmp_ok($bits, '<', 9, 'plain, it is longer than the window');
        }

        $t->set('test.big', big("2$bits", 100));
        ($f, $text) = next_of($ws, qr/"mark":2$bits\b/, $bits);
        is($f->{rsv}, length $text <= 1 << $bits ? 4 : 0, 'and a long one');
    }
};


my ($reader, $back);

sub entries {
    return '[' . join(',', map { qq({"id":$_,"text":"entry number $_"}) } @_) . ']';
}


subtest 'the page of a log and what was missed are compressed, too' => sub {
    $t->set('test.ledger', entries(1 .. 40));

    $reader = client($pmd);
    subscribe($reader, 'ledger');
    my ($page, $page_text) = next_of($reader, qr/"entries":\[\{/);
    is($page->{rsv}, 4, 'the first page of a log is compressed');

    $t->set('test.ledger', entries(1 .. 80));
    my ($batch) = next_of($reader, qr/"entries":\[\{"id":41/);
    is($batch->{rsv}, 4, 'a new batch is');

    $back = client($pmd);
    $back->send_json({ type => 'subscribe', stream => 'ledger', since => 0 });
    my ($missed, $missed_text) = next_of($back, qr/"entries"/);
    is($missed->{rsv}, 4, 'and what a client missed');
    is(scalar @{ $json->decode($missed_text)->{data}{entries} }, 80, 'which is all of it');
};


# Deltas. Each one says which seq it is for; the data that they add up to is
# always the one that REST has.

my ($pad, $delta, $packed, %have, $patches, $whole, $wrong, $larger);

sub merge {
    my ($target, $patch) = @_;

    return $patch unless ref $patch eq 'HASH';
    $target = ref $target eq 'HASH' ? { %$target } : {};

    for my $k (keys %$patch) {
        if (defined $patch->{$k}) {
            $target->{$k} = merge($target->{$k}, $patch->{$k});
        } else {
            delete $target->{$k};
        }
    }

    return $target;
}


sub same { $json->encode($_[0]) eq $json->encode($_[1]) }


subtest 'deltas' => sub {
    $pad = '"pad":"' . 'p' x 300 . '"';
    my @states = (
        qq({"a":1,"b":{"c":"x","d":[1,2,3]},$pad}),
        qq({"a":2,"b":{"c":"x","d":[1,2,3]},$pad}),
        qq({"a":2,"b":{"c":"y","d":[1,2,3]},$pad}),
        qq({"a":2,"b":{"c":"y","d":[1,2,3,4]},$pad}),
        qq({"a":2,"b":{"c":"y"},$pad}),
        qq({"a":18446744073709551615,"b":{"c":"y"},$pad}),
        qq({"a":18446744073709551614,"b":{"c":"y"},$pad}),
        qq({"a":-9223372036854775808,"b":{"c":"y"},$pad}),
        qq({"a":1.50,"b":{"c":"y"},$pad}),
        qq({"b":{"c":"y","n":{"deep":{"er":[{"k":null}]}}},$pad}),
        qq({"b":{"c":"y","n":{"deep":{"er":[{"k":[]}]}}},$pad}),
        qq({"b":null,$pad}),
        qq({"b":null,"c":1,$pad}),
        qq({"b":{"new":{"in":null}},"c":1,$pad}),
        qq({"b":[1,null,{"x":null}],"c":1,$pad}),
        '[1,2,3]',
        qq({"\\u00e9\\ud83d\\ude00":"\\ud83d\\ude00",$pad}),
        qq({"\\u00e9\\ud83d\\ude00":"\\u00e9",$pad}),
        qq({"a":{},$pad}),
        qq({"a":{"b":{}},$pad}),
        qq({"a":[],$pad}),
        '{"tiny":1}',
        '{"tiny":2}',
        '{}',
        '"text"',
        'null',
    );

    $t->set('test.big', $states[0]);

    $delta = client(undef);
    $packed = client($pmd);

    for my $ws ($delta, $packed) {
        $ws->send_json({ type => 'subscribe', stream => 'big', delta => JSON::PP::true });
    }

    %have = (plain => [$delta, 0], packed => [$packed, 0]);
    ($patches, $whole, $wrong, $larger) = (0, 0, '', '');
    my %unlike;

    for my $i (0 .. $#states) {
        $t->set('test.big', $states[$i]);
        my $want = $json->decode($states[$i]);

        for my $name (sort keys %have) {
            my ($ws, $seq, $data) = @{ $have{$name} };

            while (!$seq || !same($data, $want)) {
                my ($f, $text) = next_of($ws, qr/"type":"big"/);
                if (!$f) {
                    $wrong .= "$name: nothing came for state $i\n";
                    last;
                }
                my $m = $json->decode($text);

                if (exists $m->{delta}) {
                    $patches++;
                    $wrong .= "$name: base $m->{base} and not $seq\n" if $m->{base} != $seq;
                    $wrong .= "$name: seq $m->{seq} after $seq\n" if $m->{seq} != $seq + 1;
                    $wrong .= "$name: data beside delta\n" if exists $m->{data};
                    $data = merge($data, $m->{delta});
                    $larger .= "$name: $text\n" if length $text >= length rest('big');
                } else {
                    $whole++;
                    $unlike{$i}++;
                    $data = $m->{data};
                }

                $seq = $m->{seq};
                $have{$name} = [$ws, $seq, $data];
            }
        }

        my $now = $json->decode(rest('big'));
        for my $name (sort keys %have) {
            $wrong .= "$name: not the data of REST for state $i\n"
                if $have{$name}[1] != $now->{seq} || !same($have{$name}[2], $now->{data});
        }
    }

    is($wrong, '', 'snapshot and deltas add up to what REST has');
    is($larger, '', 'no delta is larger than the snapshot');
    cmp_ok($patches, '>=', 20, "there were deltas ($patches)");
    cmp_ok($whole, '>=', 8, "and snapshots where there is no patch ($whole)");
    ok(!$unlike{6}, 'a 64-bit integer goes in a delta');
    ok($unlike{11}, 'a member that becomes null cannot');
};


subtest 'random walks over nested data' => sub {
    srand 42;
    my %walk = (pad => 'p' x 200, list => [1, 2, 3]);
    $wrong = '';

    for my $step (1 .. 25) {
        for (1 .. 1 + int rand 3) {
            my $k = 'k' . int rand 6;
            my $what = rand;
            if ($what < 0.3) { delete $walk{$k} }
            elsif ($what < 0.6) { $walk{$k} = int rand 1e9 }
            elsif ($what < 0.8) { $walk{$k} = { map { ("m$_" => int rand 5) } 1 .. rand 4 } }
            elsif ($what < 0.9) { $walk{list} = [map { { i => $_ } } 1 .. rand 4] }
            else { $walk{$k} = [undef, int rand 3] }
        }
        $walk{step} = $step;
        $t->set('test.big', $json->encode(\%walk));

        my ($ws, $seq, $data) = @{ $have{packed} };
        while (ref $data ne 'HASH' || ($data->{step} // 0) != $step) {
            my (undef, $text) = next_of($ws, qr/"type":"big"/);
            $wrong .= "nothing came for step $step\n", last unless defined $text;
            my $m = $json->decode($text);
            $wrong .= "step $step: base $m->{base}, not $seq\n" if $m->{delta} && $m->{base} != $seq;
            $data = $m->{delta} ? merge($data, $m->{delta}) : $m->{data};
            $seq = $m->{seq};
        }
        $have{packed} = [$ws, $seq, $data];
        $wrong .= "step $step: " . $json->encode($data) . "\n" unless same($data, \%walk);
    }

    is($wrong, '', '25 random changes add up, compressed');
};


my $both;

sub table {
    my ($n) = @_;
    return '{' . join(',', map { qq("node $_":{"weight":@{[$_ * 7]},"up":)
        . ($_ % $n ? 'true}' : 'false}') } 1 .. 80) . '}';
}


subtest 'deltas and deflate together' => sub {
    $t->set('test.big', table(7));
    $both = client($pmd);
    $both->send_json({ type => 'subscribe', stream => 'big', delta => JSON::PP::true });
    my ($f0, $t0) = next_of($both, qr/"data":\{"node 1"/);
    is($f0->{rsv}, 4, 'the snapshot is compressed');
    $t->set('test.big', table(3));
    my ($f1, $t1) = next_of($both, qr/"delta"/);
    is($f1->{rsv}, 4, 'so is a delta that is large enough');
    ok(same(merge($json->decode($t0)->{data}, $json->decode($t1)->{delta}),
        $json->decode(table(3))), 'which gives the new data');
    cmp_ok($f1->{size}, '<', $f0->{size}, 'in fewer bytes');

    $t->set('test.big', table(3) =~ s/"weight":7,/"weight":8,/r);
    my ($f2, $t2) = next_of($both, qr/"weight":8/);
    like($t2, qr/"delta"/, 'a small change is a delta');
    is($f2->{rsv}, 0, 'that is not compressed');
};


subtest 'who unsubscribed and came back starts with the whole' => sub {
    $both->send_json({ type => 'unsubscribe', stream => 'big' });
    next_of($both, qr/"unsubscribed"/);
    $both->send_json({ type => 'subscribe', stream => 'big', delta => JSON::PP::true });
    my (undef, $again) = next_of($both, qr/"type":"big"/);
    like($again, qr/"data":/, 'who comes back gets the whole data first');
};


# Who missed one (its socket was full) gets the whole, too. Each pad is another
# text, so that what fills the socket are whole snapshots.

sub padded {
    my ($n, $pad) = @_;
    return qq({"n":$n,"pad":") . chr(97 + $pad % 26) x 60000 . '"}';
}


sub other { '{"n":' . $_[0] . ',"pad":"' . 'o' x 400 . '"}' }


subtest 'who missed one (its socket was full) gets the whole, too' => sub {
    $t->set('test.big', padded(0, 0));
    my $slow = $t->ws('/ws', rcvbuf => 4096);
    $slow->send_json({ type => 'subscribe', stream => 'big', delta => JSON::PP::true });

    my $reading = client($pmd);
    $reading->send_json({ type => 'subscribe', stream => 'big' });

    for my $n (1 .. 80) {
        $t->set('test.big', padded($n, $n));
        next_of($reading, qr/"n":$n,/) or last;
    }

    $t->set('test.big', padded(1000, 80));
    next_of($reading, qr/"n":1000,/);

    my ($data, $at, $skips, $bad) = (undef, 0, 0, '');

    while (ref $data ne 'HASH' || ($data->{n} // 0) != 1000) {
        my (undef, $text) = next_of($slow, qr/"type":"big"/);
        $bad .= "nothing came\n", last unless defined $text;
        my $m = $json->decode($text);
        if ($m->{delta}) {
            $bad .= "delta for $m->{base}, it has $at\n" if $m->{base} != $at;
            $data = merge($data, $m->{delta});
        } else {
            $skips++ if $at && $m->{seq} > $at + 1;
            $data = $m->{data};
        }
        $at = $m->{seq};
    }

    is($bad, '', 'a client that was slow got nothing it cannot apply');
    cmp_ok($skips, '>=', 1, 'and the whole data after what it missed');
    is(length $data->{pad}, 60000, 'at last the newest');

    # Patches are made for somebody only. Nobody has taken any for longer than that is remembered: who comes then gets them
    # from the first update on, and also after a silence, and so does a client of the other worker.

    $_->drop for @all, $none, $off, $late, $delta, $packed, $both, $slow, $reader, $back,
        $reading;

    $t->set('test.big', other(0));
    my $whole = client(undef);
    subscribe($whole, 'big');
    next_of($whole, qr/"n":0,/);
    sleep 6;

    my @takers;

    for (1 .. 200) {
        push @takers, client(undef);
        last if keys %{ { map { $_->header('x-worker') => 1 } @takers } } == 2;
    }

    for (@takers) {
        subscribe($_, 'big', delta => JSON::PP::true);
        next_of($_, qr/"n":0,/);
    }

    for my $n (1, 2) {
        sleep 6 if $n == 2;
        $t->set('test.big', other($n));
        my @got = map { (next_of($_, qr/"n":$n\b/))[1] } @takers;
        is(scalar(grep { /"delta":\{"n":$n\}/ } @got), scalar @takers,
            $n == 1 ? 'the first update is a patch for clients of both workers' : 'so is one after a silence');
        like((next_of($whole, qr/"n":$n,/))[1], qr/"pad":"o/, 'who did not ask for patches gets the whole');
    }

    $_->drop for @takers, $whole;
};

$t->stop;
done_testing();
