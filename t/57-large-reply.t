#!/usr/bin/perl

# Replies of 16 MB. If this fails, all clients of the worker that polls wait
# while one of them is read and shaped, pings included.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);
use Blockcast::Preload;
use Blockcast::RawNode;
use Blockcast::Test;

plan skip_all => 'sanitizers take many times as long' if $ENV{BLOCKCAST_SANITIZE};

my $raw = Blockcast::RawNode->new;
my $hook = Blockcast::Preload->new;

my $t = Blockcast::Test->new(%{ $hook->test_options }, start => 0, http => <<'EOF', server => <<"EOS");
    blockcast_zone main 64m;
    blockcast_stream large {
        blockcast_interval 500ms;
        blockcast_jq_timeout 60s;
        blockcast_jq_memory 1000m;
        blockcast_call c large timeout=60s;
        blockcast_always on;
        blockcast_jq '{n: (.results.c | length), last: .results.c[-1].id}';
    }
    blockcast_stream small {
        blockcast_interval 100ms;
        blockcast_call c small timeout=30s;
        blockcast_jq '.results.c';
    }
EOF
    location /api/ { blockcast_api; }
    location = /ws { blockcast_websocket; }
    location = /_node { blockcast_node default max_reply=32m; proxy_pass http://127.0.0.1:$raw->{port}/; }
EOS

# entries with all that has to be looked at: escapes, numbers, nesting

sub large {
    my ($first) = @_;

    my @entries;
    my $size = 0;

    for (my $i = $first; $size < 16_000_000; $i++) {
        push @entries, sprintf '{"id":%d,"name":"entry %d of \u0061 list","value":"0x%040x","amount":%d.5,"tags":["a","b\u00e9",null,{"deep":[true]}]}',
            $i, $i, $i * 7, $i;
        $size += length($entries[-1]) + 1;
    }

    $raw->set(large => '[' . join(',', @entries) . ']');

    return $first + $#entries;
}

my $last = large(0);
$raw->set(small => '1');
$t->start;

# a client that pings meanwhile, of the worker that polls: there is one

my $ws = $t->ws;
$ws->send_json({ type => 'subscribe', streams => ['large', 'small'] });

sub shaped {
    my ($id) = @_;

    my $end = time + 90 * Blockcast::Test::slow();

    while (time < $end) {
        $ws->send_json({ type => 'ping', id => 7 });
        sleep 0.05;

        while (my $m = $ws->recv_json(5)) {
            return $m->{data} if $m->{type} eq 'large' && $m->{data}{last} == $id;
            last if $m->{type} eq 'pong';
        }
    }

    return {};
}

is(shaped($last)->{last}, $last, 'a reply of 16 MB is shaped');
$hook->forget_turn;

$last = large(1000);
is(shaped($last)->{last}, $last, 'and another one');
$last = large(2000);
is(shaped($last)->{last}, $last, 'and a third one');

my $turn = $hook->turn;
cmp_ok($turn, '<', 5000, 'the event loop never worked on it for 5 ms on end');
diag("the longest turn of the event loop took $turn us");
cmp_ok($turn, '>', 0, 'which was measured');
unlike($t->error_log, qr/poll of stream "\w+" failed/, 'no poll failed');

$t->stop;
$raw->stop;
done_testing();
