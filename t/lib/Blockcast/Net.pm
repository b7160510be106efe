package Blockcast::Net;

# A small network on one machine, for suites of blockcast_cluster: each place
# (a machine with a gateway, an engine, a node) is a network namespace with one
# link to a hub that forwards. What the test does to links is what happens to
# real ones.
#
#   my $net = Blockcast::Net->new;              # dies, with the reason, if not
#                                               # permitted
#   my $g = $net->place; my $e = $net->place;   # $e->{ip}
#   $g->enter(sub { ... });                     # code, forks, sockets in there
#   $g->down; $g->up;                           # its link
#   $net->drop($g, $e); $net->pass($g, $e);     # packets from $g to $e vanish,
#                                               # without an answer to anybody
#   $net->delay(0.2, $g, $e);                   # ... come so much later; 0: no
#                                               # longer
#
#   my $engine = Blockcast::Net::Engine->new($e, appendonly => 'yes');
#   my $node = $n->enter(sub { Blockcast::Ledger->new(host => $n->{ip}) });
#   my $t = $net->gateway($g, $node, $urls, clock => -300);  # seconds it is off
#   $t->clock(240);
#   my $crowd = $net->roaming(ports => [...]);  # clients are where the gateway is
#
# The namespaces have no names: they are gone when the last process in them and
# this one are, however they end.

use strict;
use warnings;

use Config ();
use POSIX ();
use Time::HiRes qw(sleep time);

use Blockcast::Clock ();
use Blockcast::Engine ();
use Blockcast::Gateways ();
use Blockcast::Test ();

use constant NEWNET => 0x40000000;

# unshare, setns
my %CALL = (x86_64 => [272, 308], aarch64 => [97, 268]);
my ($UNSHARE, $SETNS) = @{ $CALL{ (POSIX::uname())[4] } // [] };

my $here;       # the namespace this process is in
my %at;         # port => place of the gateway that listens


sub new {
    my ($class) = @_;

    $UNSHARE or die 'unshare() has no number here for the processor ' . (POSIX::uname())[4] . "\n";

    my $self = bless { owner => $$, n => 0 }, $class;
    my $ip = (grep { -x } map { "$_/ip" } split(/:/, $ENV{PATH}), '/usr/sbin', '/sbin')[0]
        or die "there is no ip (iproute2)\n";
    $self->{program} = $ip;

    $self->{hub} = _namespace();
    $self->ip('link set lo up');
    _write('/proc/sys/net/ipv4/ip_forward', 1);
    _write("/proc/sys/net/ipv4/conf/$_/rp_filter", 0) for qw(all default);

    # a veth may be missing though namespaces are there
    $self->ip('link add probe type veth peer name other');
    $self->ip('link del probe');

    return $self;
}


sub _namespace {
    syscall($UNSHARE, NEWNET) == 0 or die "unshare: $!\n";
    open my $fh, '<', '/proc/self/ns/net' or die "/proc/self/ns/net: $!\n";
    return $here = $fh;
}


sub _write {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!\n";
    syswrite $fh, $text or die "$path: $!\n";
}


sub _go {
    my ($to) = @_;
    syscall($SETNS, fileno $to, NEWNET) == 0 or die "setns: $!\n";
    $here = $to;
}


# Runs ip; dies with what it said.

sub ip {
    my ($self, $args) = @_;
    my $said = `$self->{program} $args 2>&1`;
    die "ip $args: $said" if $?;
}


sub place {
    my ($self) = @_;

    my $n = ++$self->{n};
    my $place = bless { net => $self, ip => "10.89.$n.2", link => "hub$n" }, 'Blockcast::Net::Place';

    $place->{ns} = _namespace();
    $self->ip('link set lo up');
    _go($self->{hub});

    my $fd = fileno $place->{ns};
    $self->ip("link add $place->{link} type veth peer name eth0 netns /proc/$$/fd/$fd");
    $self->ip("addr add 10.89.$n.1/24 dev $place->{link}");
    $self->ip("link set $place->{link} up");

    $place->enter(sub {
        $self->ip("addr add $place->{ip}/24 dev eth0");
        $self->ip('link set eth0 up');
        $self->ip("route add default via 10.89.$n.1");
    });

    return $place;
}


sub drop { my ($self, $from, $to) = @_; $self->ip("rule add pref 100 from $from->{ip} to $to->{ip} blackhole"); $self }
sub pass { my ($self, $from, $to) = @_; $self->ip("rule del pref 100 from $from->{ip} to $to->{ip} blackhole"); $self }


# The packets of both ways go through a process, which keeps each for a while.

sub delay {
    my ($self, $seconds, $one, $other) = @_;

    for my $p ([$one, $other], [$other, $one]) {
        my $rule = "pref 200 from $p->[0]{ip} to $p->[1]{ip} lookup 77";
        $self->{tun} //= $self->_tun;
        $self->ip(($seconds ? 'rule add ' : 'rule del ') . $rule)
            if !!$seconds != !!$self->{delayed}{$rule};
        $self->{delayed}{$rule} = $seconds;
    }

    syswrite $self->{seconds}, pack 'd', $seconds if $seconds;
    return $self;
}


sub _tun {
    my ($self) = @_;

    open my $tun, '+<', '/dev/net/tun' or die "/dev/net/tun: $!\n";
    my $name = pack 'a16 S x22', 'later', 0x1001;       # IFF_TUN | IFF_NO_PI
    ioctl $tun, 0x400454ca, $name or die "/dev/net/tun: $!\n";      # TUNSETIFF

    $self->ip('link set later up');
    _write('/proc/sys/net/ipv4/conf/later/rp_filter', 0);
    $self->ip('route add default dev later table 77');
    $self->ip('rule add pref 150 iif later lookup main');

    pipe my $read, $self->{seconds} or die "pipe: $!\n";
    my $parent = $$;
    $self->{pid} = fork // die "fork: $!\n";
    return $tun if $self->{pid};

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my ($seconds, $data, @queue) = (0);

    while (getppid == $parent) {
        my $bits = '';
        vec($bits, fileno $_, 1) = 1 for $tun, $read;
        my $wait = @queue ? $queue[0][0] - time : 0.5;
        select $bits, undef, undef, $wait > 0 ? $wait : 0;

        $seconds = unpack 'd', $data if vec($bits, fileno $read, 1) && sysread $read, $data, 8;
        push @queue, [time + $seconds, $data] if vec($bits, fileno $tun, 1) && sysread $tun, $data, 65536;
        syswrite $tun, (shift @queue)->[1] while @queue && $queue[0][0] <= time;
    }

    POSIX::_exit(0);
}


sub gateway {
    my ($self, $place, $node, $urls, %arg) = @_;

    my $clock = Blockcast::Clock->new(delete $arg{clock});

    return Blockcast::Gateways::gateway($node, $urls, class => 'Blockcast::Net::Gateway', %arg,
        test => { place => $place, clock => $clock, env => $clock->env, %{ $arg{test} // {} } });
}


sub roaming {
    my ($self, %arg) = @_;
    my $crowd = Blockcast::Net::Crowd->new(snapshot => 'c', log => 'l', size => 12, new_epoch => 0, %arg, new_epoch => 1);
    $crowd->{new_epoch_then} = $arg{new_epoch} // 0;
    return $crowd;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return if $self->{owner} != $$ || !$self->{pid};
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


package Blockcast::Net::Place;

use strict;
use warnings;


sub enter {
    my ($self, $code) = @_;

    my $before = $here;
    my $owner = $$;
    my @result;
    Blockcast::Net::_go($self->{ns});
    my $ok = eval { @result = wantarray ? $code->() : scalar $code->(); 1 };
    my $error = $@;
    Blockcast::Net::_go($before) if $$ == $owner;
    die $error if !$ok;

    return wantarray ? @result : $result[0];
}


sub down { my ($self) = @_; $self->{net}->ip("link set $self->{link} down"); $self }
sub up { my ($self) = @_; $self->{net}->ip("link set $self->{link} up"); $self }


# nginx listens on its place's loopback, where all requests to it come from.

package Blockcast::Net::Gateway;

use strict;
use warnings;

our @ISA = ('Blockcast::Test');


for my $name (qw(spawn raw_request can_connect ws)) {
    no strict 'refs';
    *$name = sub {
        my ($self, @args) = @_;
        my $super = Blockcast::Test->can($name);
        return $self->{place}->enter(sub { $super->($self, @args) });
    };
}


sub port {
    my ($self, @n) = @_;
    my $port = $self->SUPER::port(@n);
    $at{$port} = $self->{place};
    return $port;
}


# Sets its clock: so many seconds it is off from now on.

sub clock {
    my ($self, $seconds) = @_;
    $self->{clock}->set($seconds);
    return $self;
}


package Blockcast::Net::Engine;

use strict;
use warnings;

our @ISA = ('Blockcast::Engine');


sub new {
    my ($class, $place, %arg) = @_;

    my $self = $place->enter(sub {
        Blockcast::Engine::new($class, bind => "$place->{ip} 127.0.0.1", 'protected-mode' => 'no',
            'repl-diskless-sync' => 'yes', 'repl-diskless-sync-delay' => 0, %arg);
    });
    $self->{place} = $place;
    return $self;
}


for my $name (qw(start do)) {
    no strict 'refs';
    *$name = sub {
        my ($self, @args) = @_;
        my $super = Blockcast::Engine->can($name);
        return $self->{place} ? $self->{place}->enter(sub { $super->($self, @args) }) : $super->($self, @args);
    };
}


sub url { my ($self) = @_; "redis://$self->{place}{ip}:$self->{port}" }


package Blockcast::Net::Crowd;

use strict;
use warnings;

our @ISA = ('Blockcast::Gateways::Crowd');


sub _connect {
    my ($self, $c) = @_;

    # none is left without clients, for then it wants nothing, and lacks nothing
    my @ports = @{ $self->{ports} } or return;
    my ($n) = $c->{name} =~ /(\d+)/;
    local $self->{ports} = [$ports[($n + $c->{turn}++) % @ports]];
    return $at{ $self->{ports}[0] }->enter(sub { $self->SUPER::_connect($c) });
}


1;
