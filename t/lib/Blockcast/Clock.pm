package Blockcast::Clock;

# The clock of an nginx (Blockcast::Test), which the test sets: t/lib/clock.c is
# built and loaded into it. Intervals are measured by another clock, as ever.
#
#   my $clock = Blockcast::Clock->new(0);
#   my $t = Blockcast::Test->new(env => $clock->env, ...);
#   $clock->set(61);                # seconds that it is ahead

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();

my $SOURCE = Cwd::realpath(dirname(__FILE__) . '/..') . '/clock.c';

my $library;


sub new {
    my ($class, $seconds) = @_;

    my $self = bless {}, $class;

    # the workers, www-data, use what the master has mapped
    $self->{dir} = File::Temp::tempdir('blockcast-clock-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $self->{dir};

    open $self->{file}, '>', "$self->{dir}/clock" or die "clock: $!\n";

    return $self->set($seconds // 0);
}


sub set {
    my ($self, $seconds) = @_;

    sysseek $self->{file}, 0, 0;
    syswrite $self->{file}, pack 'q', $seconds;

    return $self;
}


sub env {
    my ($self) = @_;

    $library //= _library();

    # see Blockcast::Preload
    my $asan = join ':', grep { length } $ENV{BLOCKCAST_ASAN}, 'verify_asan_link_order=0', 'detect_leaks=0';

    return { LD_PRELOAD => $library, BLOCKCAST_CLOCK => "$self->{dir}/clock", BLOCKCAST_ASAN => $asan };
}


sub _library {
    my $dir = File::Temp::tempdir('blockcast-clock-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;

    system($ENV{CC} || 'gcc', qw(-O1 -g -fPIC -shared -Wall -Wextra -Werror -o), "$dir/clock.so",
        $SOURCE, '-ldl') == 0
        or die "$SOURCE cannot be built\n";

    return "$dir/clock.so";
}


1;
