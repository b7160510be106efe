#!/usr/bin/perl

# needs: moments
#
# With a state file the polling worker is killed at each moment of a publish;
# then another worker goes on, or everything is killed and started again. If
# this fails, a message is sent under a number that another one had, or entries
# are sent twice or never, in a crash that comes a microsecond too early.

use strict;
use warnings;

use Test::More;

use Blockcast::Crowd;
use Blockcast::Deaths;
use Blockcast::Ledger;
use Blockcast::Preload;
use Blockcast::Test;

my $node = Blockcast::Ledger->new(rate => 40);
my $hook = Blockcast::Preload->new(moments => 1);

my $t = Blockcast::Test->new(%{ $hook->test_options }, workers => 2, server => crowd_server(),
    start => 0, http => crowd_http($node, interval => '200ms',
        more => "    blockcast_state %%PREFIX%%/state/feeds;\n" . streams_at_risk()));

mkdir $t->prefix . '/state';
chmod 0777, $t->prefix . '/state';
$t->start;

my $deaths = Blockcast::Deaths->new(test => $t, node => $node, hook => $hook, size => 20,
    slow => $ENV{BLOCKCAST_SANITIZE} ? 3 : 1);

sub start_again {
    # the master may be starting a worker meanwhile
    kill 'KILL', $t->{master};
    wait_for { waitpid $t->{master}, 1; my @p = $t->nginx_pids; kill 'KILL', @p; !@p } 20;
    unlink $t->prefix . '/nginx.pid';
    $t->start;
}

my @moments = ('publish: locked', 'publish: recorded', 'commit: copied', 'commit: counted',
    'commit: done', 'publish: unlocked', 'state: copied', 'log: recorded', 'ring: room made',
    'ring: written', 'ring: an entry more', 'log: unlocked');

subtest 'a worker dies at each moment' => sub {
    for my $moment (@moments) {
        $deaths->dies($moment, arm => sub { $hook->kill_at($moment, 1 + int rand 3, $_[0]) });
    }
};

subtest 'then everything dies' => sub {
    for my $moment (@moments) {
        $deaths->dies("$moment, then everything", then => \&start_again,
            arm => sub { $hook->kill_at($moment, 1 + int rand 3, $_[0]) });
    }

    $deaths->few_are_whole;

    unlike($t->error_log, qr/\[(?:error|crit|warn)\].*state file/, 'the state file gives no cause for complaint');
};

$deaths->stop;

done_testing();
