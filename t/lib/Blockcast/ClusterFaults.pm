package Blockcast::ClusterFaults;

# What can happen to gateways with one log, and to its engine, for suites that
# have it happen at random.
#
#   my $faults = Blockcast::ClusterFaults->new(engine => $engine, ways => \@way,
#       gateways => \@t, more => { leave => sub { ... } });
#   $faults->names;                 # 'cut', 'flush', ...
#   $faults->happen('cut');
#   $faults->due;                   # ends those whose time has come: a way that
#                                   # was cut is mended
#   $faults->end;                   # all of them; the engine goes on

use strict;
use warnings;

use Time::HiRes qw(time);


sub new {
    my ($class, %arg) = @_;
    my $self = bless { log => '{blockcast:t}:log', later => [], %arg }, $class;
    my ($engine, $ways, $gateways) = @$self{qw(engine ways gateways)};
    my $worker = sub { any(map { $_->worker_pids } @$gateways) };

    $self->{fault} = {
        stop_worker => sub {
            my $pid = $worker->() or return;
            kill 'STOP', $pid;
            $self->later(rand 6, sub { kill 'CONT', $pid });
        },
        kill_worker => sub { my $pid = $worker->() or return; kill 'KILL', $pid },
        cut => sub { my $w = any(@$ways); $w->cut; $self->later(rand 5, sub { $w->mend }) },
        freeze => sub {
            my $w = any(@$ways);
            return unless $w->{pid};
            $w->freeze;
            $self->later(rand 4, sub { $w->thaw if $w->{pid} });
        },
        reload => sub { any(@$gateways)->signal('HUP') },
        stop_engine => sub { $engine->stop; $self->later(rand 4, sub { $engine->cont }) },
        restart_engine => sub { $engine->cont; $engine->kill; $engine->start },
        flush => sub { $engine->cont; eval { $engine->do('FLUSHALL') } },

        # as a replica is promoted that lacks the newest entries
        lose_tail => sub {
            $engine->cont;
            my $dump = eval { $engine->do('DUMP', $self->{log}) } // return;
            $self->later(0.3 + rand 1.5, sub {
                $engine->cont;
                eval {
                    $engine->do('MULTI');
                    $engine->do('RESTORE', $self->{log}, 0, $dump, 'REPLACE');
                    $engine->do('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
                    $engine->do('EXEC');
                };
                $engine->kill;
                $engine->start;
            });
        },
        %{ $arg{more} // {} },
    };

    return $self;
}


sub any { $_[rand @_] }
sub names { sort keys %{ $_[0]{fault} } }
sub happen { $_[0]{fault}{ $_[1] }->() }
sub later { my ($self, $in, $code) = @_; push @{ $self->{later} }, [time + $in, $code] }


sub due {
    my ($self) = @_;
    my $now = time;
    my @due = grep { $_->[0] <= $now } @{ $self->{later} };
    @{ $self->{later} } = grep { $_->[0] > $now } @{ $self->{later} };
    $_->[1]->() for @due;
}


sub end {
    my ($self) = @_;
    $_->[1]->() for splice @{ $self->{later} };
    $_->mend->thaw for @{ $self->{ways} };
    $self->{engine}->cont;
}


1;
