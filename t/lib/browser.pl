#!/usr/bin/perl

# The dashboard's tests in a real browser (web/e2e), on what conf/run starts:
# its nginx.conf, its dashboard, and a simulated node that is told to fail.
# Arguments go to the tests (words of their names).

use strict;
use warnings;

use POSIX ();

use Blockcast::Test;

my $root = $Blockcast::Test::ROOT;
my $t = Blockcast::Test->new(start => 0);
my $prefix = $t->prefix;
my ($http, $ws) = (free_port(), free_port());
my $base = "http://127.0.0.1:$http";

$t->start_node(dialect => 'seed', seed => 1);

my $node = "http://127.0.0.1:$t->{node_port}";

%ENV = (%ENV,
    THEBLOCK_RPC_URL => $node,
    BLOCKCAST_PRESET => 'the-block-seed',
    BLOCKCAST_STATE => "$prefix/state",
    BLOCKCAST_MODULE => Blockcast::Test::module_path(),
    BLOCKCAST_NGINX => Blockcast::Test::nginx_binary(),
    HTTP_HOST => '127.0.0.1', HTTP_PORT => $http,
    WS_HOST => '127.0.0.1', WS_PORT => $ws,
    ASAN_OPTIONS => Blockcast::Test::without_leaks($ENV{ASAN_OPTIONS}),
);


# What the tests do to the gateway: small shell scripts, for they are run as
# commands. "start" returns once the page is served.

sub script {
    my ($name, $text) = @_;

    open my $fh, '>', "$prefix/$name" or die "$name: $!\n";
    print $fh "#!/bin/sh\nset -e\ncd $prefix\n$text";
    close $fh or die "$name: $!\n";
    chmod 0755, "$prefix/$name";

    return "$prefix/$name";
}


my $start = script('start', <<"EOF");
setsid $root/conf/run >>run.log 2>&1 </dev/null &
echo \$! >run.pid
for i in \$(seq 300); do
    curl -sf -o /dev/null --noproxy '*' $base/ && exit 0
    sleep 0.1
done
cat run.log >&2
exit 1
EOF

my $stop = script('stop', <<'EOF');
pid=$(cat run.pid)
kill -TERM $pid
for i in $(seq 150); do
    kill -0 $pid 2>/dev/null || exit 0
    sleep 0.1
done
exit 1
EOF

%ENV = (%ENV,
    BASE_URL => $base,
    E2E_START => $start,
    E2E_STOP => $stop,
    E2E_RELOAD => script('reload', 'kill -HUP $(cat state/nginx.pid)' . "\n"),
    E2E_KILL_WORKER => script('kill-worker', <<'EOF'),
master=$(cat state/nginx.pid)
kill -KILL $(cat /proc/$master/task/$master/children)
EOF
    E2E_NODE_DOWN => script('node-down', <<"EOF"),
curl -sf -o /dev/null --noproxy '*' -H 'Content-Type: application/json' \\
    -d '{"method":"*","fault":"drop"}' $node/control/fault
EOF
    E2E_NODE_UP => script('node-up', <<"EOF"),
curl -sf -o /dev/null --noproxy '*' -X DELETE $node/control/fault
EOF
);

if (system($start) != 0) {
    print "the gateway did not start\n";
    exit 1;
}

my $code = system('npm', '--silent', '--prefix', "$root/web", 'run', 'e2e', '--',
    @ARGV) >> 8;

my @wrong;
system($stop) == 0 or push @wrong, 'conf/run does not end';

for my $line (map { split /\n/, Blockcast::Test::slurp($_) }
    "$prefix/run.log", glob "$prefix/state/logs/error.log*")
{
    push @wrong, $line if $line =~ /\[(?:alert|emerg)\]|open socket .* left|core dumped|sanitizer|runtime error/i
        && $line !~ /exited on signal 9|aborting|could not send signal|kill\(/;
}

$t->stop_node;
push @wrong, map { "left: $_" } $t->processes;
push @wrong, $t->shutdown;

if (@wrong) {
    print "after the tests: $_\n" for @wrong;
    $code ||= 1;
}

exit $code;
