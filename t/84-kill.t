#!/usr/bin/perl

# needs: moments
#
# The polling worker is killed at each moment of a publish: between any two of
# its writes to the shared memory, and in the middle of copying. If this fails,
# a worker that the kernel kills for its memory leaves the streams frozen for
# ever, a message that is half of one state and half of another, or receipts
# that nobody is told of.
#
# BLOCKCAST_LONG=1 (t/run --long) goes through them twenty times.

use strict;
use warnings;

use Test::More;

use Blockcast::Crowd;
use Blockcast::Deaths;
use Blockcast::Ledger;
use Blockcast::Preload;
use Blockcast::Test;
use Blockcast::Watch;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $size = 30;

my $node = Blockcast::Ledger->new(rate => 40);
my $hook = Blockcast::Preload->new(moments => 1);

# two streams more: one always fails, and of one the course of its number is kept
my $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, server => crowd_server(),
    http => crowd_http($node, interval => '200ms', more => streams_at_risk() . <<'MORE'));
    blockcast_stream broken {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq 'error("\(.results.count) is no good number")';
    }
    blockcast_stream course {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_history n=. 30m/1s idle=off;
    }
MORE

my $deaths = Blockcast::Deaths->new(test => $t, node => $node, hook => $hook, size => $size,
    slow => $slow);

my @moments = ('publish: locked', 'commit: copied', 'commit: counted', 'commit: done',
    'publish: unlocked', 'state: copied', 'state: done', 'ring: room made', 'ring: written',
    'ring: an entry more', 'log: unlocked', 'error: written', 'refresh: half', 'history: written', 'history: done');

subtest 'a worker dies at each moment' => sub {
    for (1 .. ($ENV{BLOCKCAST_LONG} ? 20 : 1)) {
        for my $moment (@moments) {
            my $n = 1 + int rand 3;
            $deaths->dies("$moment, number $n", arm => sub { $hook->kill_at($moment, $n, $_[0]) });
        }

        for my $n (1 .. 8) {
            $deaths->dies("half of copy $n", arm => sub { $hook->kill_in_copy($n, $_[0]) });
        }
    }
};

note(sprintf 'the slowest recovery took %.1f s', $deaths->slowest);

subtest 'what is counted and kept is true' => sub {
    my $swarm = $deaths->swarm;
    my $counted = $swarm->run(8 * $slow, until => sub { $swarm->all_open && connections($t) == $size });
    ok($counted, 'the connections are counted truly');

    my %subscribers = map { $_->{name} => $_->{subscribers} }
        @{ $t->get_json('/api/streams')->{streams} };
    is_deeply(\%subscribers, { c => $size, l => $size, kept => 0, broken => 0, few => 0, course => 0 },
        'and so are the subscribers');

    like($t->get('/api/streams/kept')->{body}, qr/"data":"the same"/, 'data that stays is there');
    $deaths->few_are_whole;
    like($t->get('/api/health')->{body}, qr/"name":"broken"[^{}]*"error":"[^"]*\d+ is no good number"/,
        'the error of a stream that always fails is a whole sentence');

    my $course = $t->get_json('/api/streams/course/history')->{series}{n};
    my @known = map { my $i = $_; map { $_->[$i] // () } @$course{qw(min mean max)} } 0 .. 1799;
    # three numbers of each second
    cmp_ok(scalar @known, '>=', 15, 'the course of a number is kept');
    is(scalar(grep { $known[$_ - 1] > $known[$_] } 1 .. $#known), 0, 'and no slot of it is torn');
};

$deaths->stop;

done_testing();
