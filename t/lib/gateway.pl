#!/usr/bin/perl

# Blockcast::Test for suites in other languages (t/lib/bctest.py and
# t/lib/gateway.mjs use it): one JSON object on each line of standard input,
# one answer on each line of standard output.
#
# The first line holds the arguments of Blockcast::Test->new; the answer is
# {"port":N,"ports":[...],"node_port":N,"prefix":"...","master":N}. Then:
#   {"do":"workers"}                  {"workers":[pid...]}
#   {"do":"reload","gone":SECONDS}    {"ok":true}
#   {"do":"conf","set":{"http":...}}  {"ok":true} (to be followed by a reload)
#   {"do":"signal","name":"KILL","pid":N}
#   {"do":"log"}                      {"log":"..."}
#   {"do":"allow","pattern":"..."}    a line of the log that may be there
#   {"do":"stop_node"}, {"do":"start_node"}
#   {"do":"stop"}                     {"wrong":[...]}: empty when all was well
# The end of the input stops everything.

use strict;
use warnings;

use JSON::PP ();
use Blockcast::Test;

my $json = JSON::PP->new->canonical->utf8;
my $line = <STDIN> // exit;

$| = 1;

sub answer { print $json->encode($_[0]), "\n" }

my $arg = $json->decode($line);

$arg->{allow} = [map { qr/$_/ } @{ $arg->{allow} // [] }];

my $t = eval { Blockcast::Test->new(%$arg) };

if (!$t) {
    answer({ error => "$@" });
    exit 1;
}

answer({ port => $t->port, ports => [map { $t->port($_) } 0 .. 9],
    node_port => $t->{node_port}, prefix => $t->prefix,
    master => $t->master_pid });

my %do = (
    workers => sub { { workers => [map { $_ + 0 } $t->worker_pids] } },
    pids => sub { { pids => [map { $_ + 0 } $t->nginx_pids] } },
    reload => sub { { ok => $t->reload(gone => $_[0]{gone})
        ? JSON::PP::true : JSON::PP::false } },
    conf => sub { $t->write_conf(%{ $_[0]{set} }); { ok => JSON::PP::true } },
    signal => sub { $t->signal($_[0]{name}, $_[0]{pid}); { ok => JSON::PP::true } },
    log => sub { { log => $t->error_log } },
    access_log => sub { { log => $t->access_log } },
    allow => sub { $t->allow(qr/$_[0]{pattern}/); { ok => JSON::PP::true } },
    stop_node => sub { $t->stop_node; { ok => JSON::PP::true } },
    start_node => sub { $t->start_node(ref $t->{node} ? %{ $t->{node} } : ());
        { ok => JSON::PP::true } },
    stop => sub { { wrong => [$t->shutdown] } },
);

while (defined($line = <STDIN>)) {
    my $c = $json->decode($line);
    my $code = $do{ $c->{do} // '' };

    answer($code ? eval { $code->($c) } // { error => "$@" }
        : { error => "unknown: $line" });
}
