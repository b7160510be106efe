#!/usr/bin/perl

# Two streams that have something new at the same moment, one of them as much
# as is taken into one write, more clients than are served in one go, and some
# who leave as soon as they have it. If this fails, others stay with what was
# before until the stream has something new again, which may be never.

use strict;
use warnings;

use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;
use Blockcast::WebSocket;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 2 : 1;
my $clients = 400;
my $rounds = 8;
my $period = 1.5 * $slow;

# both change when a period begins, and then not before the next

my $node = Blockcast::Ledger->new(rate => 1);
my $t = Blockcast::Test->new(workers => 1, server => crowd_server(),
    http => crowd_http($node, interval => '1h', zone => '16m', more => join '', map {
        my ($name, $bytes) = @$_;
        <<"STREAM";
    blockcast_stream $name {
        blockcast_interval 50ms;
        blockcast_max_size 128k;
        blockcast_stale 60s;
        blockcast_call count count;
        blockcast_jq '{text: ("x" * $bytes), period: (now / $period | floor)}';
    }
STREAM
    } ['huge', 70000], ['small', 1]));

my (%client, $n, $last_input);
my $select = IO::Select->new;

for (1 .. $clients) {
    my $ws = Blockcast::WebSocket->connect(port => $t->port);

    $ws->send_json({ type => 'subscribe', streams => ['huge', 'small'] });
    $ws->socket->blocking(0);
    $select->add($ws->socket);
    $client{$ws->socket} = { ws => $ws, buf => '', small => 0, leaves => $_ % 5 == 0 };
}


# Reads what comes until then; which period's "small" each client has. Period $n is waited for.

sub listen_until {
    my ($end) = @_;

    while ((my $left = $end - time) > 0) {
        for my $socket ($select->can_read($left)) {
            my $c = $client{$socket};

            if (!sysread $socket, $c->{buf}, 1 << 20, length $c->{buf}) {
                $c->{lost} = 1;
                $select->remove($socket);
            }

            $last_input = time;

            $c->{small} = $1 while $c->{buf} =~ /"text":"x","period":(\d+)/g;

            # in the middle of the fan-out, which goes on with the others
            $c->{ws}->send_json({ type => 'unsubscribe', stream => 'small' }), $c->{away} = 1
                if $c->{leaves} && !$c->{away} && $c->{small} == $n;

            # a number may be cut in two
            $c->{buf} = substr $c->{buf}, -100 if length $c->{buf} > 100;
        }
    }
}


my (@behind, $left);
my $judged = 0;

for my $round (1 .. 4 * $rounds) {
    $n = int(time / $period) + 1;
    listen_until(($n + 0.85) * $period);

    # on a busy machine something may still be on its way, and says nothing; nor does what came while they connected
    if (time - $last_input > 0.2 && $round > 1
        && $t->get_json('/api/streams/small')->{data}{period} == $n)
    {
        listen_until(time + 0.2) if grep { $_->{small} < $n } values %client;
        my $behind = grep { $_->{small} < $n } values %client;
        push @behind, "$behind in round $round" if $behind;
        $judged++;
    }

    for (grep { delete $_->{away} } values %client) {
        $left++;
        $_->{ws}->send_json({ type => 'subscribe', stream => 'small' });
    }

    last if $judged == $rounds || @behind;
}

is_deeply(\@behind, [], "each of $clients clients has the newest of both streams");
is($judged, $rounds, 'and that was seen often enough');
cmp_ok($left, '>', $clients / 5, 'some left in the middle of it and came back');
is(scalar(grep { $_->{lost} } values %client), 0, 'no connection was lost');

undef %client;
$t->stop;
$node->stop;

done_testing();
