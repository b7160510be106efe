#!/usr/bin/perl

# Who adds `load_module` to a working nginx and configures nothing else must
# see no difference: if this fails, loading the module alone breaks a server,
# its reload, or its binary upgrade.

use strict;
use warnings;

use Test::More;
use Blockcast::Test;

my ($out, $code) = Blockcast::Test->check_conf(server =>
    'location / { return 200 "plain"; }');

is($code, 0, 'nginx -t takes a configuration that only loads the module')
    or diag($out);

my $t = Blockcast::Test->new(workers => 2, daemon => 1, server => <<'EOF');
    location / { return 200 "plain"; }
    location /slow { limit_rate 1; return 200 "0123456789"; }
EOF

is($t->get('/')->{body}, 'plain', 'serves as before');
ok(wait_for { $t->worker_pids == 2 }, 'both workers run');
unlike($t->error_log, qr/\[(warn|error|crit|alert|emerg)\]/,
    'nothing above [notice] in the log');

my @before = $t->worker_pids;

ok($t->reload(gone => 10), 'reload: new workers, and the old ones go');
is($t->get('/')->{body}, 'plain', 'serves after a reload');
ok(!(grep { my $p = $_; grep { $_ == $p } @before } $t->worker_pids),
    'the workers are new ones');


# binary upgrade: a second master beside the first, which then quits

my $old = $t->master_pid;
$t->signal('USR2');

ok(wait_for { -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == 4 },
    'USR2: a new master with its own workers')
    or diag($t->error_log);

my $new = $t->pid_file;

isnt($new, $old, 'the pid file names the new master');
is($t->get('/')->{body}, 'plain', 'serves while both run');

$t->signal('QUIT', $old);

ok(wait_for { $t->worker_pids == 2 }, 'the old master and its workers go');
is($t->get('/')->{body}, 'plain', 'serves after the upgrade');

$t->signal('QUIT', $new);

ok(wait_for { !$t->nginx_pids }, 'the new master quits');

$t->stop;

done_testing();
