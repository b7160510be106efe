package Blockcast::KeyNode;

# A node whose answers depend on what is asked for, as balances do:
#
#   my $node = Blockcast::KeyNode->new;
#   ... proxy_pass http://127.0.0.1:$node->{port};
#   $node->set(head => 7, '0xab' => 100);
#   $node->asked('k.get')   # [time, key] of each call so far; of k.many, of all
#                           # keys of a call: [time, [keys]]
#
# Methods: k.head (the value `head`); k.get [KEY] ({"key":KEY,"n":VALUE}, 0
# unless it was set; a key that ends in "dead" has an error); k.many [[KEYS]]
# (an array of values; null for those that end in "dead"); k.raw [KEY] (VALUE).
# set(down => 1): it closes each connection without an answer.
# set(hold => 'REGEX'): the answers for keys that match are kept back, with what
# they were when it was asked, until they match no more.

use strict;
use warnings;

use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Time::HiRes ();

my $JSON = JSON::PP->new->canonical->allow_nonref;


sub new {
    my ($class) = @_;

    my $self = bless { owner => $$, dir => File::Temp::tempdir(CLEANUP => 1), values => { head => 1 } }, $class;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 256)
        or die "listen: $!\n";

    $self->{port} = $listen->sockport;
    $self->set;

    my $parent = $$;
    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $parent) };
        print STDERR "key node: $@" if $@;
        require POSIX;
        POSIX::_exit(1);
    }

    return $self;
}


sub set {
    my ($self, %more) = @_;

    @{ $self->{values} }{keys %more} = values %more;

    open my $fh, '>', "$self->{dir}/values.new" or die "$!\n";
    print $fh $JSON->encode($self->{values});
    close $fh;
    rename "$self->{dir}/values.new", "$self->{dir}/values" or die "$!\n";
}


sub asked {
    my ($self, $method) = @_;

    open my $fh, '<', "$self->{dir}/$method" or return;
    local $/;
    return @{ $JSON->decode('[' . join(',', split /\n/, <$fh>) . ']') };
}


sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $$ != $self->{owner};

    local $?;
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
}


sub DESTROY { $_[0]->stop }


sub _serve {
    my ($self, $listen, $parent) = @_;

    my $select = IO::Select->new($listen);
    my (%buf, %log, @held);
    local $SIG{PIPE} = 'IGNORE';

    while (getppid == $parent) {
        if (@held) {
            my $hold = $self->_values->{hold};
            my @still;

            for (@held) {
                my ($s, $text, $of) = @$_;
                defined $hold && $of =~ /$hold/ ? push @still, $_ : $s->opened && syswrite $s, $text;
            }

            @held = @still;
        }

        for my $s ($select->can_read(@held ? 0.02 : 0.2)) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                $buf{$c} = '';
                next;
            }

            my $values = $self->_values;

            if (!sysread($s, $buf{$s}, 65536, length $buf{$s}) || $values->{down}) {
                $select->remove($s);
                delete $buf{$s};
                close $s;
                next;
            }

            while ($buf{$s} =~ m{\APOST (\S+) HTTP/1\.[01]\r\n(.*?\r\n)?\r\n}s) {
                my ($head, $len) = ($2 // '', $+[0]);
                my $size = $head =~ /^Content-Length: *(\d+)/im ? $1 : 0;

                last if length $buf{$s} < $len + $size;

                my $call = $JSON->decode(substr $buf{$s}, $len, $size);
                substr $buf{$s}, 0, $len + $size, '';

                my @answers = map { $self->_one($_, $values, \%log) } ref $call eq 'ARRAY' ? @$call : $call;
                my $text = $JSON->encode(ref $call eq 'ARRAY' ? \@answers : $answers[0]);

                my $of = join ' ', map { ref $_ ? @$_ : $_ // () } map { $_->{params} ? $_->{params}[0] : () }
                    ref $call eq 'ARRAY' ? @$call : $call;

                my $answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                    . length($text) . "\r\n\r\n$text";

                if (defined $values->{hold} && $of =~ /$values->{hold}/) {
                    push @held, [$s, $answer, $of];
                } else {
                    syswrite $s, $answer;
                }
            }
        }
    }
}


sub _values {
    my ($self) = @_;

    open my $fh, '<', "$self->{dir}/values" or return {};

    # a new file for each set()
    my $which = join ' ', (Time::HiRes::stat($fh))[1, 9];

    if (($self->{which} // '') ne $which) {
        local $/;
        @$self{qw(which read)} = ($which, $JSON->decode(scalar <$fh>));
    }

    return $self->{read};
}


sub _one {
    my ($self, $call, $values, $log) = @_;

    my ($method, $of) = ($call->{method}, $call->{params} && $call->{params}[0]);

    if (!$log->{$method}) {
        open $log->{$method}, '>>', "$self->{dir}/$method" or die "$!\n";
    }

    syswrite $log->{$method}, $JSON->encode([Time::HiRes::time(), $of]) . "\n";

    my %answer = (jsonrpc => '2.0', id => $call->{id});

    if ($method eq 'k.head') {
        $answer{result} = $values->{head};
    } elsif ($method eq 'k.many') {
        $answer{result} = [map { /dead$/ ? undef : $values->{$_} // 0 } @$of];
    } elsif ($method =~ /^k\.(get|raw)$/ && $of !~ /dead$/) {
        $answer{result} = $1 eq 'raw' ? $values->{$of} // 0 : { key => $of, n => $values->{$of} // 0 };
    } elsif ($method =~ /^k\./) {
        $answer{error} = { code => -5, message => 'no such account' };
    } else {
        $answer{error} = { code => -32601, message => 'method not found' };
    }

    return \%answer;
}


1;
