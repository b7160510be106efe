package Blockcast::Turns;

# What an nginx (Blockcast::Test) does in each turn of its event loops, between
# two epoll_wait(): t/lib/turns.c is built and loaded into it.
#
#   my $turns = Blockcast::Turns->new;
#   my $t = Blockcast::Test->new(%{ $turns->test_options }, ...);
#   $turns->reset;
#   ...
#   my $all = $turns->get;          # of all its processes together
#   $all->{deflated}                # bytes that were compressed
#   $all->{most_sends}              # the most of one turn
#
# turns, cpu (ns of all turns), longest (ns of one), sends, most_sends, bytes,
# most_bytes, deflated, most_deflated, wakes (of other workers).

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();

my $SOURCE = Cwd::realpath(dirname(__FILE__) . '/..') . '/turns.c';
my $RECORD = 128;
my @MEMBERS = qw(pid round turns cpu longest over1 over5 sends most_sends bytes most_bytes
    deflated most_deflated wakes);


sub new {
    my ($class) = @_;

    my $self = bless { round => 0 }, $class;

    # the workers, www-data, map the page through the descriptor of the master
    $self->{dir} = File::Temp::tempdir('turns-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $self->{dir};

    system($ENV{CC} || 'gcc', qw(-std=c11 -O1 -g -fPIC -shared -Wall -Wextra -Werror -o),
        "$self->{dir}/turns.so", $SOURCE, '-ldl') == 0
        or die "$SOURCE cannot be built\n";

    open $self->{page}, '+>', "$self->{dir}/page" or die "page: $!\n";
    syswrite $self->{page}, "\0" x ($RECORD * 65);

    return $self;
}


sub test_options {
    my ($self) = @_;

    # as in Blockcast::Preload
    my $asan = join ':', grep { length } $ENV{BLOCKCAST_ASAN}, 'verify_asan_link_order=0',
        'detect_leaks=0';

    return { env => { LD_PRELOAD => "$self->{dir}/turns.so", TURNS_FILE => "$self->{dir}/page",
        BLOCKCAST_ASAN => $asan } };
}


sub reset {
    my ($self) = @_;

    sysseek $self->{page}, 0, 0;
    syswrite $self->{page}, pack 'Q', ++$self->{round};
}


sub get {
    my ($self) = @_;

    my %all = map { $_ => 0 } @MEMBERS;

    sysseek $self->{page}, $RECORD, 0;
    sysread $self->{page}, my $data, $RECORD * 64;

    while (length $data) {
        my %r;
        @r{@MEMBERS} = unpack 'Q*', substr $data, 0, $RECORD, '';
        next unless $r{pid} && $r{round} == $self->{round};

        for (@MEMBERS) {
            if (/^(?:longest|most)/) {
                $all{$_} = $r{$_} if $r{$_} > $all{$_};
            } else {
                $all{$_} += $r{$_};
            }
        }
    }

    return \%all;
}


1;
