#!/usr/bin/perl

# The binary upgrade, forth and back: if this fails, replacing nginx or the
# module in place stops the streams, or takes the way back away from an
# operator whose new binary is bad.
#
# Both masters have a zone of their own, so while both run both poll, and the
# numbers begin anew: the epoch tells the clients.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Crowd;
use Blockcast::Ledger;
use Blockcast::Test;

my $slow = $ENV{BLOCKCAST_SANITIZE} ? 3 : 1;
my $node = Blockcast::Ledger->new(rate => 40);

my $t = Blockcast::Test->new(workers => 2, daemon => 1, server => crowd_server(),
    http => crowd_http($node, interval => '400ms', drain => '1s', size => '256k'));

my $crowd = Blockcast::Crowd->new(port => $t->port, snapshot => 'c', log => 'l',
    size => 60, new_epoch => 1);

sub complete { $crowd->complete($t, $node, $_[0], $slow) }

sub now_or_later {
    my ($seconds, $name, $code) = @_;
    my $ok = $crowd->run($seconds * $slow, until => sub { $code->() });
    ok($ok, $name) or diag(join "\n", grep { !/\[info\]/ } split /\n/, $t->error_log);
}

complete('at first');

my $old = $t->master_pid;

sub upgrade {
    $t->signal(USR2 => $old);
    now_or_later(10, 'USR2: a second master with its workers', sub {
        -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == 4
    });
    return $t->pid_file;
}

my $new;

subtest 'both run' => sub {
    $new = upgrade();

    complete('both run');
};


# The way back: the new one goes, the old one has never left.

subtest 'the way back: the new one goes, the old one has never left' => sub {
    $t->signal(WINCH => $old);
    now_or_later(8, 'WINCH: the old workers leave', sub { $t->worker_pids == 2
        && $t->nginx_pids == 4 });
    complete('the old master without workers');

    $t->signal(HUP => $old);
    now_or_later(8, 'HUP: the old master starts workers again', sub {
        $t->worker_pids == 4 });
    $t->signal(QUIT => $new);
    now_or_later(10, 'QUIT: the new one leaves', sub { $t->nginx_pids == 3 });
    complete('back at the old one');
    now_or_later(5, 'the pid file is that of the old one', sub {
        $t->pid_file == $old && !-e $t->prefix . '/nginx.pid.oldbin' });
};


# And forth: the old one goes.

subtest 'and forth: the old one goes' => sub {
    $new = upgrade();
    $t->signal(WINCH => $old);
    now_or_later(8, 'WINCH again', sub { $t->worker_pids == 2 && $t->nginx_pids == 4 });
    $t->signal(QUIT => $old);
    now_or_later(8, 'the old master leaves', sub { $t->nginx_pids == 3 });
    complete('at the new one');
};

subtest 'all is as it was' => sub {
    my ($before, $t0) = (scalar(() = $node->calls('count')), time);
    $crowd->run(4);
    my $polls = (() = $node->calls('count')) - $before;
    my $due = (time - $t0) / 0.4;
    cmp_ok($polls, '<=', $due + 2, "one poll for each interval again ($polls, due $due)");
    cmp_ok($polls, '>=', $due / slow() / 2, 'and no fewer than a busy machine explains');

    ok($crowd->{closes}{1012} >= 120, 'who had to go was told: 1012');
    is($crowd->{lost}, 0, 'nobody was just cut off');
};

$crowd->close_all;
$t->{master} = $new;
$t->signal(QUIT => $new);
ok(wait_for { !$t->nginx_pids }, 'all is gone at the end');
$t->stop;
$node->stop;

done_testing();
