package Blockcast::Preload;

# An nginx (Blockcast::Test) whose allocations fail, or one of whose processes
# dies at a certain moment, when the test says so: t/lib/preload.c is built and
# loaded into it.
#
#   my $hook = Blockcast::Preload->new;
#   my $t = Blockcast::Test->new(%{ $hook->test_options }, ...);
#   $hook->kill_at('commit: copied', 2, $pid);  # the 2nd time, in that process
#   $hook->stop_at('commit: copied', 2, $pid);  # the same, SIGSTOP
#   $hook->kill_in_copy(3, $pid);   # in the 3rd copy to shared memory from now
#   $hook->killed                   # pid of the process that died so
#   $hook->fail_nth(17);            # the 17th allocation from now
#   $hook->fail_some(0.05); $hook->fail_all; $hook->fail_none;
#   $hook->failed                   # how many
#   $hook->turn                     # longest turn of an event loop so far, usec
#   $hook->forget_turn

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();

my $SOURCE = Cwd::realpath(dirname(__FILE__) . '/..') . '/preload.c';
my $LEN = 128;
my %AT = (fail => 0, nth => 4, share => 8, pid => 12, libjq => 16, allocations => 20,
    failed => 24, countdown => 28, copy => 32, killed => 36, seen => 40,
    stop => 44, moment => 48, turn => 112);


# With moments => 1 the module is the one that has them.

sub new {
    my ($class, %arg) = @_;

    my $self = bless { %arg }, $class;

    # the workers, www-data, map the page through the descriptor of the master
    $self->{dir} = File::Temp::tempdir('preload-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $self->{dir};
    $self->{library} = "$self->{dir}/preload.so";

    system($ENV{CC} || 'gcc', qw(-O1 -g -fPIC -fno-omit-frame-pointer -shared),
        qw(-fno-builtin -Wall -Wextra -Werror -o),
        $self->{library}, $SOURCE, '-ldl') == 0
        or die "$SOURCE cannot be built\n";

    open $self->{page}, '+>', "$self->{dir}/page" or die "page: $!\n";
    syswrite $self->{page}, "\0" x $LEN;

    return $self;
}


sub test_options {
    my ($self) = @_;

    # the sanitizer's library wants to be the first one; and it takes what the
    # loader keeps for leaks when it is not
    my $asan = join ':', grep { length } $ENV{BLOCKCAST_ASAN}, 'verify_asan_link_order=0',
        'detect_leaks=0';

    return {
        env => { LD_PRELOAD => $self->{library}, BLOCKCAST_PRELOAD => "$self->{dir}/page",
            BLOCKCAST_ASAN => $asan },
        $self->{moments} ? (module => $ENV{BLOCKCAST_MODULE_MOMENTS}
            // die "the module with moments is not built: run t/run\n") : (),
    };
}


sub _set {
    my ($self, %value) = @_;

    for my $name (keys %value) {
        my $bytes = $name eq 'moment' ? pack('a64', $value{$name}) : pack 'L', $value{$name};
        sysseek $self->{page}, $AT{$name}, 0;
        syswrite $self->{page}, $bytes;
    }
}


sub _get {
    my ($self, $name) = @_;

    sysseek $self->{page}, $AT{$name}, 0;
    sysread $self->{page}, my $bytes, 4;
    return unpack 'L', $bytes;
}


# Writes what sets them off last.

sub kill_at {
    my ($self, $moment, $n, $pid) = @_;
    $self->_set(countdown => 0, killed => 0, stop => 0, pid => $pid // 0, moment => $moment);
    $self->_set(countdown => $n // 1);
}


sub stop_at {
    my ($self, $moment, $n, $pid) = @_;
    $self->_set(countdown => 0, killed => 0, stop => 1, pid => $pid // 0, moment => $moment);
    $self->_set(countdown => $n // 1);
}


sub kill_in_copy {
    my ($self, $n, $pid) = @_;
    $self->_set(copy => 0, killed => 0, pid => $pid // 0);
    $self->_set(copy => $n // 1);
}


sub killed { $_[0]->_get('killed') }
sub turn { $_[0]->_get('turn') }
sub forget_turn { $_[0]->_set(turn => 0) }
sub seen { $_[0]->_get('seen') }
sub disarm { $_[0]->_set(countdown => 0, copy => 0, fail => 0) }


sub _fail {
    my ($self, $kind, %opt) = @_;

    my %value = (pid => 0, libjq => 0, allocations => 0, failed => 0, %opt);
    $self->_set(fail => 0);
    $self->_set(%value);
    $self->_set(fail => $kind);
}


sub fail_none { $_[0]->_set(fail => 0) }
sub fail_nth { my ($self, $n, %opt) = @_; $self->_fail(1, nth => $n, %opt) }
sub fail_some { my ($self, $share, %opt) = @_; $self->_fail(2, share => int 65536 * $share, %opt) }
sub fail_all { my ($self, %opt) = @_; $self->_fail(3, %opt) }
sub failed { $_[0]->_get('failed') }
sub allocations { $_[0]->_get('allocations') }


1;
