package Blockcast::Engine;

# A Redis or Valkey for suites of blockcast_cluster: a process on a free port,
# and proxies to it that can be cut.
#
#   my $engine = Blockcast::Engine->new(appendonly => 'yes');
#   $engine->do('XLEN', '{blockcast:x}:log');   # a reply: text, number, array
#   $engine->stop; $engine->cont;               # SIGSTOP, SIGCONT
#   $engine->kill; $engine->start;              # on the same port and folder
#   my $way = $engine->way;                     # a proxy: $way->{port}
#   $way->cut; $way->mend; $way->freeze; $way->thaw;
#   $engine->way(delay => 0.2, rate => 1_250_000);   # a long and narrow one:
#                               # seconds and bytes a second, each way
#
# The program is the first of $BLOCKCAST_ENGINE, redis-server, valkey-server;
# binaries() is a table of all that t/run has got, names and programs, and
# program => ... in new() takes one of them.

use strict;
use warnings;

use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

use Blockcast::Test ();


sub binary {
    for my $name (grep { defined } $ENV{BLOCKCAST_ENGINE}, qw(redis-server valkey-server)) {
        for my $dir (split(/:/, $ENV{PATH}), '/usr/bin', '/usr/local/bin') {
            my $path = $name =~ m{/} ? $name : "$dir/$name";
            return $path if -x $path;
        }
    }

    return;
}


sub binaries {
    my $first = binary() or return;
    my ($name, $version) = `$first --version` =~ /^(\w+) server v=(\d+)/i;

    return [join(' ', lc($name // 'engine'), $version // ()), $first],
        map { /^(\S+ \S+) (.+)$/ && $2 ne $first ? [$1, $2] : () } split /\n/, $ENV{BLOCKCAST_ENGINES} // '';
}


sub new {
    my ($class, %arg) = @_;

    my $program = delete $arg{program} // binary();
    my $self = bless { program => $program, port => Blockcast::Test::free_port(), host => '127.0.0.1', owner => $$,
        dir => File::Temp::tempdir('blockcast-engine-XXXXXX', TMPDIR => 1, CLEANUP => 1),
        option => { save => '', appendonly => 'no', %arg } }, $class;

    return $self->start;
}


sub start {
    my ($self) = @_;

    my %o = %{ $self->{option} };
    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        open STDOUT, '>>', "$self->{dir}/log" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        chdir $self->{dir};
        no warnings 'exec';
        exec { $self->{program} } $self->{program}, '--port', $self->{port}, '--bind', $self->{host},
            '--dir', $self->{dir}, '--daemonize', 'no', map { ("--$_", split(/ /, $o{$_}, -1)) } sort keys %o;
        POSIX::_exit(1);
    }

    # the server that answers may be one of another test, which was faster
    Blockcast::Test::wait_for(sub {
        eval {
            ($self->do('PING') // '') eq 'PONG'
                && $self->do('INFO', 'server') =~ /^process_id:$self->{pid}\r?$/m;
        };
    }, 60)
        or die "the engine does not start: " . Blockcast::Test::slurp("$self->{dir}/log");

    return $self;
}


sub _signal { my ($self, $name) = @_; kill $name, $self->{pid} if $self->{pid}; return $self }
sub stop { $_[0]->_signal('STOP') }
sub cont { $_[0]->_signal('CONT') }


sub kill {
    my ($self, $how) = @_;

    my $pid = delete $self->{pid} or return $self;
    CORE::kill $how // 'KILL', $pid;
    CORE::kill 'CONT', $pid;
    waitpid $pid, 0;
    delete $self->{socket};

    return $self;
}


# Sends a command and reads its reply; dies with an error's text.

sub do {
    my ($self, @args) = @_;

    my $s = $self->{socket} //= IO::Socket::INET->new(PeerAddr => $self->{host},
        PeerPort => $self->{port}, Timeout => 5) or die "engine: $!\n";

    my $text = '*' . @args . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @args;
    local $SIG{PIPE} = 'IGNORE';
    print $s $text or do { delete $self->{socket}; die "engine: $!\n" };
    $s->flush;

    my $reply = eval { _reply($s) };
    my $error = $@;
    delete $self->{socket} if $error =~ /^engine:/;
    die $error if $error;

    return $reply;
}


sub _reply {
    my ($s) = @_;

    local $/ = "\r\n";
    my $line = <$s> // die "engine: it closed the connection\n";
    chomp $line;
    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+' || $type eq ':';
    die "$line\n" if $type eq '-';
    return if $line < 0;

    if ($type eq '$') {
        my $data = '';
        while (length $data < $line + 2) {
            read $s, $data, $line + 2 - length $data, length $data or die "engine: short reply\n";
        }
        return substr $data, 0, $line;
    }

    return [map { _reply($s) } 1 .. $line];
}


# A way to the engine of its own.

sub way {
    my ($self, %arg) = @_;

    my $way = bless { port => Blockcast::Test::free_port(), to => $self->{port}, owner => $$, %arg },
        'Blockcast::Engine::Way';
    return $way->mend;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->kill if $self->{owner} == $$ && $self->{pid};
}


package Blockcast::Engine::Way;

use strict;
use warnings;


sub cut {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return $self;
    kill 'KILL', $pid;
    waitpid $pid, 0;

    return $self;
}


sub freeze { kill 'STOP', $_[0]{pid}; $_[0] }
sub thaw { kill 'CONT', $_[0]{pid}; $_[0] }


sub mend {
    my ($self) = @_;

    return $self if $self->{pid};

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port},
        Listen => 16, ReuseAddr => 1) or die "way: $!\n";
    my $parent = $$;

    $self->{pid} = fork // die "fork: $!\n";
    return $self if $self->{pid};

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    _slowly($self, $listen, $parent) if $self->{delay} || $self->{rate};
    my $select = IO::Select->new($listen);
    my %peer;

    while (getppid == $parent) {
        for my $s ($select->can_read(0.5)) {
            if ($s == $listen) {
                my $c = $listen->accept or next;
                my $e = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to});
                next unless $e;

                @peer{$c, $e} = ($e, $c);
                $select->add($c, $e);
                next;
            }

            my $to = $peer{$s} or next;
            my $n = sysread $s, my $data, 65536;

            if (!$n) {
                $select->remove($s, $to);
                delete @peer{$s, $to};
                close $s;
                close $to;
                next;
            }

            for (my $at = 0; $at < $n; ) {
                my $w = syswrite $to, $data, $n - $at, $at;
                last unless $w;
                $at += $w;
            }
        }
    }

    POSIX::_exit(0);
}


# The same, but what comes leaves when the one before it has had its time on a
# line of that rate, and so much later. There are no more bytes on the way than
# that line holds, and 64 KiB that wait for it.

sub _slowly {
    my ($self, $listen, $parent) = @_;

    my $delay = $self->{delay} // 0;
    my $rate = $self->{rate} // 1e9;
    my $room = $rate * $delay + 65536;
    my @ways;

    while (getppid == $parent) {
        my ($in, $out) = ('', '');
        my $now = Time::HiRes::time;
        my $wait = 0.5;
        vec($in, fileno $listen, 1) = 1;

        for my $w (@ways) {
            vec($in, fileno $w->{from}, 1) = 1 if !$w->{end} && $w->{queued} < $room;
            my $next = $w->{queue}[0] or next;
            my $left = $next->[0] - $now;
            $left > 0 ? ($left < $wait and $wait = $left) : (vec($out, fileno $w->{to}, 1) = 1);
        }

        select $in, $out, undef, $wait;
        $now = Time::HiRes::time;

        for my $w (@ways) {
            if (!$w->{end} && vec $in, fileno $w->{from}, 1) {
                my $n = sysread $w->{from}, my $data, 16384;
                next if !defined $n && $!{EAGAIN};
                $w->{end} = !$n;
                $w->{free} = ($w->{free} > $now ? $w->{free} : $now) + ($n // 0) / $rate;
                push @{ $w->{queue} }, [$w->{free} + $delay, $data // ''];
                $w->{queued} += $n // 0;
            }

            if (vec $out, fileno $w->{to}, 1) {
                my $next = $w->{queue}[0];
                my $n = length $next->[1] ? syswrite $w->{to}, $next->[1] : undef;
                next if !defined $n && length $next->[1] && $!{EAGAIN};
                $w->{broken} = $w->{other}{broken} = 1 if !$n;
                $w->{queued} -= $n // 0;
                substr $next->[1], 0, $n // 0, '';
                shift @{ $w->{queue} } if !length $next->[1];
            }
        }

        @ways = grep { !$_->{broken} } @ways;

        if (vec $in, fileno $listen, 1) {
            my $c = $listen->accept or next;
            my $e = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}) or next;
            $_->blocking(0), $_->sockopt(Socket::TCP_NODELAY(), 1) for $c, $e;
            my %to = (from => $c, to => $e, free => 0, queued => 0, queue => []);
            my %back = (%to, from => $e, to => $c, queue => []);
            ($to{other}, $back{other}) = (\%back, \%to);
            push @ways, \%to, \%back;
        }
    }

    POSIX::_exit(0);
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->cut if $self->{owner} == $$;
}


1;
