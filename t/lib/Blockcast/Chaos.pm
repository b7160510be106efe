package Blockcast::Chaos;

# Breaks everything around the module at random: draws a list of faults with
# their times from a seed, applies them to an nginx (Blockcast::Test), its
# simulated node and its clients (Blockcast::Swarm), and mends them at the end.
#
#   my %node = Blockcast::Chaos::node_options(7);       # for Blockcast::Test
#   my $chaos = Blockcast::Chaos->new(test => $t, swarm => $swarm,
#       model => $model, node => \%node, seed => 7, seconds => 30);
#   $swarm->run(30, each => sub { $chaos->due });
#   $chaos->mend;                   # all faults are over; the time of the last
#   $chaos->history                 # what was done and when, as text
#   $chaos->chains                  # the node's ledger, for Model->ledger
#
# The simulated node has its own time: it continues where it was when its
# process is replaced, like a node that has its chain on a disk.

use strict;
use warnings;

use POSIX ();
use Time::HiRes qw(sleep time);

our $SCALE = 6;         # seconds of the node in a second

# kinds of conf/simnode.mjs; those of the limits make the gateway leave the node
# alone for seconds, and come only early
our @FAULTS = qw(unknown drop hang energy_limited host_403 truncate truncate_chunked not_json
    empty_body wrong_id no_id both neither array huge other_type null unavailable error http_500
    slow);
our @LIMITS = qw(rate_limited banned);

# how often each is drawn
my %WEIGHT = (
    kill_poller => 5, kill_worker => 3, kill_all => 1, stop_poller => 3, stop_worker => 2,
    reload => 4, reload_twice => 1, crash => 2, restart => 1, upgrade => 2,
    node_fault => 12, node_limit => 2, node_restart => 2, node_kill => 3, node_stop => 2,
    node_new_chain => 1, node_reset => 1, node_mining => 2, burst => 3,
    cut => 8, sleepers => 3,
);


sub new {
    my ($class, %arg) = @_;

    my $self = bless { history => [], later => [], chains => [], done => {}, %arg }, $class;

    $self->_plan;
    $self->{begun} = time;
    $self->{model}{begun} = $self->{begun};

    return $self;
}


# Options of the node's process.

sub node_options {
    my ($seed) = @_;

    return (dialect => 'seed', seed => $seed, time_scale => $SCALE, rate_limit => 100000,
        start => int time);
}


# The list: time, what, and its arguments, all drawn before anything happens.

sub _plan {
    my ($self) = @_;

    srand $self->{seed};

    my @names = map { ($_) x $WEIGHT{$_} } sort keys %WEIGHT;
    my @plan;

    for (my $at = 1.5; $at < $self->{seconds}; $at += 0.2 + rand(1.3)) {
        my $name = $names[rand @names];
        my %arg = (for => 0.3 + rand 2.2);

        if ($name eq 'node_fault') {
            $arg{kind} = $FAULTS[rand @FAULTS];
            $arg{method} = ('*', '*', 'net.stats', 'receipt.audit')[rand 4];
        } elsif ($name eq 'node_limit') {
            $name = 'cut' if $at > $self->{seconds} - 15;
            $arg{kind} = $LIMITS[rand @LIMITS];
        } elsif ($name eq 'burst') {
            $arg{seconds} = 10 + int rand 120;
        }

        if ($name eq 'cut') {
            my @ways = sort keys %Blockcast::Swarm::CUT;
            $arg{way} = $ways[rand @ways];
            $arg{share} = 0.02 + rand 0.3;
        } elsif ($name eq 'sleepers') {
            $arg{share} = 0.02 + rand 0.1;
            $arg{for} = 0.5 + rand 4;
        }

        push @plan, [$at, $name, \%arg];
    }

    $self->{plan} = \@plan;
}


sub _said {
    my ($self, $what) = @_;

    push @{ $self->{history} }, sprintf '%7.2f s  %s', time - $self->{begun}, $what;
}


sub history { return @{ $_[0]{history} } }


sub _later {
    my ($self, $seconds, $name, $code) = @_;

    push @{ $self->{later} }, [time + $seconds, $name, $code];
}


# Applies the faults that are due; returns true while more are to come.

sub due {
    my ($self) = @_;

    my $now = time;

    my @due = grep { $_->[0] <= $now } @{ $self->{later} };
    $self->{later} = [grep { $_->[0] > $now } @{ $self->{later} }];

    for (@due) {
        $self->_said($_->[1]) if defined $_->[1];
        $_->[2]->();
    }

    while (@{ $self->{plan} } && $self->{plan}[0][0] <= $now - $self->{begun}) {
        my (undef, $name, $arg) = @{ shift @{ $self->{plan} } };
        $self->$name($arg);
        $self->{done}{$name}++;
    }

    return @{ $self->{plan} } || @{ $self->{later} };
}


# The workers. The poller is the worker that said so last in the log: the server
# itself may be unable to answer.

sub poller {
    my ($self) = @_;

    my ($pid) = reverse $self->{test}->error_log
        =~ /^\S+ \S+ \[notice\] (\d+)#\d+: blockcast: this worker polls now/mg;
    return $pid;
}


sub _workers {
    my ($self, $which) = @_;

    my $poller = $self->poller // 0;
    my @pids = $self->{test}->worker_pids;

    return grep { $which eq 'poller' ? $_ == $poller : $_ != $poller } @pids;
}


sub _kill { my ($self, $name, @pids) = @_; $self->_said("$name: SIGKILL @pids"); kill 'KILL', @pids }


sub kill_poller { my ($self) = @_; $self->_kill('kill_poller', $self->_workers('poller')) }
sub kill_worker { my ($self) = @_; $self->_kill('kill_worker', ($self->_workers('other'))[0] // ()) }
sub kill_all { my ($self) = @_; $self->_kill('kill_all', $self->{test}->worker_pids) }


sub _stop {
    my ($self, $name, $arg, $pid) = @_;

    return $self->_said("$name: there is none") if !$pid;

    my $model = $self->{model};

    $self->_said(sprintf '%s: SIGSTOP %d for %.1f s', $name, $pid, $arg->{for});
    $model->{stopped}{$pid} = time + 3600;
    kill 'STOP', $pid;

    $self->_later($arg->{for}, "SIGCONT $pid", sub {
        kill 'CONT', $pid;
        $model->{stopped}{$pid} = time + 2;
    });
}


sub stop_poller { my ($self, $arg) = @_; $self->_stop('stop_poller', $arg, $self->_workers('poller')) }
sub stop_worker { my ($self, $arg) = @_; $self->_stop('stop_worker', $arg, $self->_workers('other')) }


# The server as a whole, which is not reloaded while it is down or has two
# masters.

sub reload {
    my ($self) = @_;

    return $self->_said('reload: not now') if $self->{server_busy};

    $self->_said('reload');
    $self->{test}->signal('HUP');
}


sub reload_twice {
    my ($self, $arg) = @_;

    $self->reload;
    $self->_later(0.05 + $arg->{for} / 10, 'and again', sub { $self->reload });
}


# All its processes are killed, or it quits; and it is started again.

sub crash {
    my ($self, $arg) = @_;

    return $self->_said('crash: not now') if $self->{server_busy};

    $self->{server_busy} = 1;
    $self->_said('crash: SIGKILL of all processes');
    kill 'KILL', $self->{test}->nginx_pids;
    $self->_start_when_gone($arg->{for} / 3);
}


sub restart {
    my ($self, $arg) = @_;

    return $self->_said('restart: not now') if $self->{server_busy};

    $self->{server_busy} = 1;
    $self->_said('restart: SIGQUIT');
    $self->{test}->signal('QUIT');
    $self->_start_when_gone($arg->{for} / 10);
}


sub _start_when_gone {
    my ($self, $wait) = @_;

    my $t = $self->{test};

    $self->_later($wait, undef, sub {
        waitpid $t->master_pid, POSIX::WNOHANG();

        if ($t->nginx_pids) {
            $self->_start_when_gone(0.05);
            return;
        }

        unlink $t->prefix . '/nginx.pid', $t->prefix . '/nginx.pid.oldbin';
        $t->start;
        $self->{server_busy} = 0;
        $self->_said("start: master $t->{master}");
    });
}


# Binary upgrade: both masters run for a while, then the old one quits, or the
# new one does.

sub upgrade {
    my ($self, $arg) = @_;

    my $t = $self->{test};

    return $self->_said('upgrade: not now') if $self->{server_busy};

    my $old = $t->pid_file // return $self->_said('upgrade: no master');

    $self->{server_busy} = 1;
    $self->_said("upgrade: SIGUSR2 to $old");
    $t->signal(USR2 => $old);
    $self->_upgraded($old, $arg->{for}, 100);
}


sub _upgraded {
    my ($self, $old, $for, $tries) = @_;

    my $t = $self->{test};

    $self->_later(0.05, undef, sub {
        my $new = $t->pid_file;

        if (!-s $t->prefix . '/nginx.pid.oldbin' || !$new || $new == $old || !$t->can_connect) {
            return $self->_upgraded($old, $for, $tries - 1) if $tries;
            $self->_said('upgrade: no second master');
            $self->{server_busy} = 0;
            return;
        }

        my ($quits, $stays) = int($for * 100) % 3 ? ($old, $new) : ($new, $old);

        $self->_said("upgrade: master $new runs");
        $self->_later($for, "upgrade: SIGQUIT to the " . ($quits == $old ? 'old' : 'new') . ' one',
            sub {
                $t->signal(QUIT => $quits);
                $t->{master} = $stays;
                $self->_alone($quits);
            });
    });
}


sub _alone {
    my ($self, $quits) = @_;

    $self->_later(0.1, undef, sub {
        return $self->_alone($quits) if kill(0, $quits) && -e "/proc/$quits";
        $self->{server_busy} = 0;
        $self->_said("upgrade: $quits is gone");
    });
}


# The node, which takes no commands while its process is gone or stopped.

sub _tell {
    my ($self, $what, @call) = @_;

    return $self->_said("$what: the node is away") if $self->{node_away};

    my $ok = eval { $self->{test}->node(@call); 1 };
    $self->_said($what . ($ok ? '' : ': not heard'));
    return $ok;
}


sub node_fault {
    my ($self, $arg) = @_;

    my %fault = (method => $arg->{method}, fault => $arg->{kind});
    $fault{ms} = int 1000 * $arg->{for} if $arg->{kind} =~ /^(?:hang|slow)$/;
    $fault{ms} = 900 if $arg->{kind} eq 'slow' && $fault{ms} > 900;

    $self->_tell(sprintf('node: %s of %s for %.1f s', $arg->{kind}, $arg->{method}, $arg->{for}),
        POST => '/control/fault', \%fault) or return;
    $self->_later($arg->{for}, "node: no more faults of $arg->{method}", sub {
        eval { $self->{test}->node(DELETE => '/control/fault', { method => $arg->{method} }) }
            if !$self->{node_away};
    });
}


sub node_limit {
    my ($self, $arg) = @_;
    $self->_tell("node: $arg->{kind}, once", POST => '/control/fault',
        { method => '*', fault => $arg->{kind}, count => 1 });
}


sub node_restart {
    my ($self, $arg) = @_;

    $self->_tell(sprintf('node: listens again after %.1f s', $arg->{for}),
        POST => '/control/restart', { down_ms => int 1000 * $arg->{for} }) or return;
    $self->{node_away} = 1;
    $self->_later($arg->{for} + 0.2, 'node: is back', sub { $self->{node_away} = 0 });
}


sub node_mining {
    my ($self, $arg) = @_;

    $self->_tell('node: the chain is locked', POST => '/control/mining', { on => \1 }) or return;
    $self->_later($arg->{for}, 'node: the chain is free', sub {
        eval { $self->{test}->node(POST => '/control/mining', { on => \0 }) } if !$self->{node_away};
    });
}


sub node_reset {
    my ($self) = @_;
    $self->_tell('node: another, shorter chain', POST => '/control/reset', {}) and $self->{reset} = 1;
}


sub burst {
    my ($self, $arg) = @_;

    return $self->_said('burst: the node is away') if $self->{node_away};

    my $stats = eval { $self->{test}->node(GET => '/control/stats') } or return;
    $self->_tell("node: $arg->{seconds} s at once", POST => '/control/clock',
        { elapsed => $stats->{elapsed} + $arg->{seconds} });
}


sub node_stop {
    my ($self, $arg) = @_;

    return $self->_said('node_stop: the node is away') if $self->{node_away};

    my $pid = $self->{test}{node_pid};

    $self->_said(sprintf 'node: SIGSTOP for %.1f s', $arg->{for});
    $self->{node_away} = 1;
    kill 'STOP', $pid;
    $self->_later($arg->{for}, 'node: SIGCONT', sub { kill 'CONT', $pid; $self->{node_away} = 0 });
}


# Its process is killed, and another one goes on with the same chain, after a
# moment with the chain as it was at first; or with a new chain.

sub node_kill { my ($self, $arg) = @_; $self->_replace($arg, $self->{reset} ? 'new' : 'same') }
sub node_new_chain { my ($self, $arg) = @_; $self->_replace($arg, 'new') }

sub _replace {
    my ($self, $arg, $chain) = @_;

    return $self->_said('node_kill: the node is away') if $self->{node_away};

    my $t = $self->{test};
    my $stats = eval {
        # nothing happens any more that the ledger would not have
        $t->node(POST => '/control/clock', { freeze => \1 });
        $self->_remember($chain eq 'same');
        $t->node(GET => '/control/stats');
    };

    return $self->_said("node_kill: not heard: $@") if !$stats;

    my $killed = time;

    $self->_said(sprintf 'node: SIGKILL, back after %.1f s with %s chain', $arg->{for},
        $chain eq 'same' ? 'the same' : 'a new');
    $self->{node_away} = 1;
    kill 'KILL', $t->{node_pid};
    waitpid delete $t->{node_pid}, 0;

    $self->_later($arg->{for}, 'node: a new process', sub {
        $self->{reset} = 0, $self->{node}{seed}++ if $chain ne 'same';
        $t->start_node(port => $t->{node_port}, no_wait => 1, %{ $self->{node} });
        $self->_later(0.1, undef, sub { $self->_back($chain, $stats, $killed) });
    });
}


sub _back {
    my ($self, $chain, $stats, $killed) = @_;

    my $t = $self->{test};

    if (!$t->can_connect($t->{node_port})) {
        $self->_later(0.1, undef, sub { $self->_back($chain, $stats, $killed) });
        return;
    }

    $self->{node_away} = 0;
    $self->_said('node: is back');

    $t->node(POST => '/control/clock',
        { elapsed => $stats->{elapsed} + (time - $killed) * $SCALE }) if $chain eq 'same';
}


sub _remember {
    my ($self, $again) = @_;

    my @now = @{ $self->{test}->node(GET => '/control/receipts')->{chains} };

    push @{ $self->{chains} }, $again ? @now[0 .. $#now - 1] : @now;
}


# The clients.

sub cut {
    my ($self, $arg) = @_;

    my $n = 1 + int $arg->{share} * $self->{swarm}->clients;
    $self->_said(sprintf 'clients: %s of %d', $arg->{way}, $self->{swarm}->cut($arg->{way}, $n));
}


sub sleepers {
    my ($self, $arg) = @_;

    my $n = 1 + int $arg->{share} * $self->{swarm}->clients;
    $self->_said(sprintf 'clients: %d read nothing for %.1f s',
        $self->{swarm}->sleepers($n, $arg->{for}), $arg->{for});
}


# Everything is mended. Returns the time.

sub mend {
    my ($self) = @_;

    my $t = $self->{test};

    $self->{plan} = [];

    # what has begun comes to its end
    while (@{ $self->{later} }) {
        $self->due;
        $self->{swarm}->step(0.02);
    }

    $_->{asleep} &&= time for $self->{swarm}->clients;

    $self->_tell('node: no fault', DELETE => '/control/fault', {});
    $self->_tell('node: free', POST => '/control/mining', { on => \0 });

    return time;
}


sub chains {
    my ($self) = @_;

    return @{ $self->{chains} }, @{ $self->{test}->node(GET => '/control/receipts')->{chains} };
}


1;
