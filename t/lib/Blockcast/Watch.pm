package Blockcast::Watch;

# Measures what an nginx (Blockcast::Test) holds now: connections, open files,
# memory, free room in the zone. For suites that look for leaks.
#
#   my $before = held($t);      # { connections, nginx, fds, memory, largest, zone }
#   connections($t); fds($t); memory($t); zone_free($t);

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max sum0);

our @EXPORT = qw(connections nginx_connections fds fds_of memory memory_of zone_free held);


# As the module counts them.

sub connections {
    my ($t) = @_;
    return sum0(map { $_->{connections} } @{ ($t->get_json('/api/health') // {})->{workers} // [] });
}


# As nginx does, where there is a /status with stub_status. Our own request is
# one of them, and so is each worker's wake-up descriptor.

sub nginx_connections {
    my ($t) = @_;
    return ($t->get('/status')->{body} =~ /Active connections: (\d+)/)[0];
}


sub fds_of { my @fd = glob "/proc/$_[0]/fd/*"; return scalar @fd }
sub fds { return sum0(map { fds_of($_) } $_[0]->worker_pids) }


# Private memory, kB: pages that this process alone has written to.

sub memory_of {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/smaps_rollup" or return 0;
    return sum0(map { /^Private_Dirty:\s+(\d+)/ ? $1 : () } <$fh>);
}


sub memory { return sum0(map { memory_of($_) } $_[0]->worker_pids) }


# Bytes, where there is a /metrics.

sub zone_free {
    my ($t) = @_;
    return ($t->get('/metrics')->{body} =~ /^blockcast_zone_free_bytes (\d+)/m)[0];
}


sub held {
    my ($t) = @_;

    return { connections => connections($t), nginx => nginx_connections($t), fds => fds($t),
        memory => memory($t), largest => max(map { memory_of($_) } $t->worker_pids),
        zone => zone_free($t) };
}


1;
