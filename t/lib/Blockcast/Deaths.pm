package Blockcast::Deaths;

# Kills the polling worker at a chosen moment under a crowd of clients, and
# tests that all of them continue with the right data.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Blockcast::Crowd;
use Blockcast::Model;
use Blockcast::Swarm;

use Exporter 'import';
our @EXPORT = qw(streams_at_risk);


# Beside the streams of the crowd: one whose program has a state and whose data
# stays, and one whose ring is always full.

sub streams_at_risk {
    return <<'CONF';
    blockcast_stream kept {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call count count;
        blockcast_jq '"the same", ((.state // 0) + 1)';
    }
    blockcast_stream few {
        blockcast_interval 200ms;
        blockcast_always on;
        blockcast_call ledger ledger;
        blockcast_jq '{entries: .results.ledger}';
        blockcast_log entries key=id keep=30 size=4k;
        blockcast_max_size 8k;
    }
CONF
}


# test, node: a server and its ledger, both running; hook: what kills;
# size: how many clients; slow: by what the patience is multiplied

sub new {
    my ($class, %arg) = @_;
    my $self = bless { slow => 1, slowest => 0, %arg }, $class;

    $self->{test}->allow(qr/worker process \d+ exited on signal 9/,
        qr/shared memory zone "main" was locked by/);

    $self->{model} = Blockcast::Model->new(numbers => 1,
        streams => { c => { stale => 3600 }, l => { log => 1 } });
    $self->{swarm} = Blockcast::Swarm->new(port => $self->{test}->port, size => $self->{size},
        model => $self->{model}, snapshots => ['c'], log => 'l');

    ok($self->well, "$self->{size} clients are there");

    return $self;
}


sub swarm { $_[0]{swarm} }
sub slowest { $_[0]{slowest} }


sub poller {
    my ($self) = @_;
    return ($self->{test}->get_json('/api/health', timeout => 2) // {})->{poller}{pid} // 0;
}


# everybody is there and has what the node had a moment ago

sub well {
    my ($self) = @_;
    my ($last, $since) = ($self->{node}->last_id, time);

    return $self->{swarm}->run(10 * $self->{slow}, until => sub {
        $self->{swarm}->all_open && !grep { ($_->{st}{l}{id} // 0) < $last
            || ($_->{st}{c}{at} // 0) < $since } $self->{swarm}->clients;
    });
}


# One test. arm: gets the pid of the poller and arranges its death; then: is
# called after it, before the clients have to continue.

sub dies {
    my ($self, $name, %arg) = @_;
    my ($t, $swarm, $hook, $model) = @$self{qw(test swarm hook model)};

    # no worker is new and no poller changes any more
    my $ready = $swarm->run(10 * $self->{slow}, until => sub {
        my $p = $self->poller;
        grep({ $_ == $p } $t->worker_pids) && $t->worker_pids == 2;
    });
    my $poller = $self->poller;

    $arg{arm}->($poller);

    my $dead = $swarm->run(8 * $self->{slow}, until => sub { $hook->killed && !kill 0, $poller });
    my $at = time;

    $hook->disarm;
    $arg{then}->() if $arg{then};

    my $well = $dead && $self->well;
    my $took = time - $at;
    my @wrong = $model->offences;

    $self->{slowest} = $took if $took > $self->{slowest};

    ok($ready && $dead && $well && !@wrong, "$name: "
        . (!$ready ? 'nobody polls' : !$dead ? 'the poller did not die there'
           : !$well ? 'not everybody gets what is new'
           : @wrong ? 'what clients received is wrong' : sprintf('all goes on after %.1f s', $took)))
        or diag(join "\n", @wrong, map { s/\[\w+\]\K.*?: / /r }
            grep { !/\[info\]/ } (split /\n/, $t->error_log)[-30 .. -1]);

    @$model{qw(wrong count)} = ([], {});
}


# of what nobody was subscribed to, and always was written over

sub few_are_whole {
    my ($self) = @_;
    my @few = map { $_->{id} } @{ $self->{test}->get_json('/api/few?limit=30')->{entries} // [] };

    cmp_ok(scalar @few, '>', 5, 'a ring that is always full has entries');
    is(scalar(grep { $few[$_ - 1] != $few[$_] + 1 } 1 .. $#few), 0, 'one after the other');
}


sub stop {
    my ($self) = @_;

    $self->{swarm}->close_all;
    $self->{test}->stop;
    $self->{node}->stop;
}


1;
