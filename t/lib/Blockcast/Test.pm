package Blockcast::Test;

# A real nginx with the module, for suites that are more than one request and
# its answer: started in a folder of its own on free ports of 127.0.0.1, with a
# simulated node beside it when asked for, and looked at when it is stopped.
#
#   use Blockcast::Test;
#
#   my $t = Blockcast::Test->new(
#       workers => 2,
#       node    => { dialect => 'seed', seed => 7 },    # or 1, or nothing
#       http    => 'blockcast_stream s { blockcast_call c net.stats; }',
#       server  => 'location /ws { blockcast_websocket; }',
#   );
#
#   my $ws = $t->ws('/ws');                     # Blockcast::WebSocket
#   $ws->send_json({ type => 'subscribe', stream => 's' });
#   is($ws->recv_type('s')->{data}{tps}, ...);
#   $t->node(POST => '/control/fault', { method => '*', fault => 'hang' });
#   is($t->get('/api/health')->{status}, 200);
#   $t->stop;                                   # is one test: a clean stop
#   done_testing();
#
# The texts may hold %%PORT%%, %%PORT1%% ... %%PORT9%% (further free ports),
# %%NODE%% (host:port of the simulated node), %%PREFIX%%, %%ROOT%% (of the
# repository). When `http` declares no zone there is `blockcast_zone main 4m;`,
# and when nothing has a blockcast_node location there is one, /_node.
#
# stop() fails on an [alert] or [emerg] in the log, "open socket left", a
# sanitizer's report, or a process that is left. What a test provokes on
# purpose it names with allow(qr/.../).

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename qw(dirname);
use File::Path ();
use File::Temp ();
use IO::Socket::INET ();
use JSON::PP ();
use List::Util ();
use POSIX ();
use Scalar::Util ();
use Test::More ();
use Time::HiRes qw(sleep time);

use Blockcast::WebSocket ();

our @EXPORT = qw(wait_for free_port slow);

our $ROOT = Cwd::realpath(dirname(__FILE__) . '/../../..');
our $JSON = JSON::PP->new->canonical->allow_nonref->allow_bignum;

my %live;       # pid of the process that made it => objects to stop at the end


sub nginx_binary { $ENV{BLOCKCAST_NGINX} || '/usr/sbin/nginx' }


sub module_path {
    my $path = $ENV{BLOCKCAST_MODULE}
        || "$ROOT/build/module/ngx_http_blockcast_module.so";

    -f $path or die "the module is not built, there is no $path: run t/run\n";
    return $path;
}


# Returns how many times longer than on an idle machine things may take now: at
# least 3 with sanitizers, up to six times more when the processors are busy, and
# up to four times more on a slower machine. For the bounds of what has to happen
# soon; for anything else, wait.

my ($processors, $machine);

sub slow {
    $machine //= List::Util::min(4, List::Util::max(1, _loop_time() / 0.012));

    my ($load, $running) = slurp('/proc/loadavg') =~ m{^(\S+) \S+ \S+ (\d+)/};
    $processors //= () = slurp('/proc/cpuinfo') =~ /^processor\b/mg;
    my $busy = List::Util::max($load // 0, $running // 0) / ($processors || 1);

    return List::Util::min(6, List::Util::max(1, 1.5 * $busy))
        * ($ENV{BLOCKCAST_SANITIZE} ? 3 : 1) * $machine;
}


# Seconds that a small loop takes: the best of three, which others disturb least.
# It is about 0.005 where the bounds were chosen.

sub _loop_time {
    return List::Util::min(map {
        my ($start, $sum) = (time, 0);
        $sum += $_ for 1 .. 200_000;
        time - $start;
    } 1 .. 3);
}


# Runs code until it returns true, and returns that; after `timeout` seconds
# (10 unless told; times slow()) returns its last, false value.

sub wait_for (&;$) {
    my ($code, $timeout) = @_;

    my $end = time + ($timeout // 10) * slow();

    while (1) {
        my $value = $code->();
        return $value if $value || time > $end;
        sleep 0.01;
    }
}


# A port of 127.0.0.1 that nobody uses, below the range the kernel takes the
# ports of outgoing connections from, and in the one t/run has given to its lane:
# a port that is to be closed stays so.

my %given;

sub free_port {
    my ($low, $high) = split /-/, $ENV{BLOCKCAST_PORTS} // '20000-31999';

    for (1 .. 500) {
        my $port = $low + int rand $high - $low + 1;
        next if $given{$port}++;

        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', Listen => 1) or next;
        close $s;
        return $port;
    }

    die "no free port on 127.0.0.1\n";
}


# Starts everything unless start => 0. Arguments, all optional: workers,
# worker_connections (of each, 1024), main, events, http, server (texts of configuration), node (1 or a hash of the
# simulated node's options), error_level, allow (list of patterns), quit
# (seconds a clean stop may take), daemon (1: in the background, as a service
# runs; nginx takes USR2, the binary upgrade, only then), conf (a whole
# configuration, in place of all the texts), module (another one to load), env
# (variables of nginx), reuseport (1: the system spreads clients over the
# workers; without it an idle machine's first worker may take all of them).

sub new {
    my ($class, %arg) = @_;

    my $self = bless {
        workers => 1, worker_connections => 1024, quit => 10, error_level => 'info', allow => [],
        ports => [], owner => $$, daemon => 0, %arg,
    }, $class;

    $self->{prefix} = Cwd::realpath(File::Temp::tempdir('blockcast-XXXXXX',
        TMPDIR => 1));
    chmod 0755, $self->{prefix};
    mkdir "$self->{prefix}/tmp";
    chmod 0777, "$self->{prefix}/tmp";

    $live{$self} = $self;

    $self->start_node(ref $arg{node} ? %{ $arg{node} } : ()) if $arg{node};
    $self->write_conf;
    $self->start unless defined $arg{start} && !$arg{start};

    return $self;
}


sub prefix { $_[0]{prefix} }
sub port { $_[0]{ports}[$_[1] // 0] //= free_port() }


sub fill {
    my ($self, $text) = @_;

    $text //= '';
    $text =~ s/%%PORT(\d?)%%/$self->port($1 || 0)/ge;
    $text =~ s/%%NODE%%/$self->{node_addr} || die "%%NODE%% without node => 1\n"/ge;
    $text =~ s/%%PREFIX%%/$self->{prefix}/g;
    $text =~ s/%%ROOT%%/$ROOT/g;

    return $text;
}


# The location of the default node.

sub node_location {
    return <<'EOF';
        location = /_node {
            internal;
            blockcast_node;
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_set_header Accept-Encoding "";
            proxy_connect_timeout 2s;
            proxy_read_timeout 10s;
        }
EOF
}


sub conf_text {
    my ($self) = @_;

    return $self->fill($self->{conf}) if defined $self->{conf};

    my ($main, $events, $http, $server) =
        map { $self->{$_} // '' } qw(main events http server);
    my $user = $> == 0 && $main !~ /^\s*user\s/m ? "user www-data;\n" : '';
    my $upstream = '';
    my $location = '';

    $http = "    blockcast_zone main 4m;\n$http"
        if $http !~ /blockcast_zone/ && "$http$server" =~ /blockcast_/;

    if ($self->{node_addr} && "$http$server" !~ /blockcast_node\s*(\w+\s*)?[;m]/) {
        $upstream = "    upstream node { server %%NODE%%; keepalive 8; }\n";
        $location = node_location();
    }

    my $module = $self->{module} // module_path();
    my $load = $self->{no_module} ? '' : "load_module $module;\n";
    my $daemon = $self->{daemon} ? 'on' : 'off';
    my $reuseport = $self->{reuseport} ? ' reuseport' : '';

    # a binary upgrade starts the new one with no other variables than these
    $main = "env ASAN_OPTIONS;\nenv UBSAN_OPTIONS;\nenv LSAN_OPTIONS;\n$main"
        if $ENV{BLOCKCAST_SANITIZE};

    return $self->fill(<<"EOF");
$load${user}daemon $daemon;
worker_processes $self->{workers};
pid %%PREFIX%%/nginx.pid;
error_log %%PREFIX%%/error.log $self->{error_level};
$main

events {
    worker_connections $self->{worker_connections};
    $events
}

http {
    access_log %%PREFIX%%/access.log;
    client_body_temp_path %%PREFIX%%/tmp/body;
    proxy_temp_path %%PREFIX%%/tmp/proxy;
    fastcgi_temp_path %%PREFIX%%/tmp/fastcgi;
    uwsgi_temp_path %%PREFIX%%/tmp/uwsgi;
    scgi_temp_path %%PREFIX%%/tmp/scgi;
$upstream
$http

    server {
        listen 127.0.0.1:%%PORT%%$reuseport;
$location
$server
    }
}
EOF
}


# Writes nginx.conf; with arguments (main, http, server, ...) changes these
# first: then reload() applies it.

sub write_conf {
    my ($self, %arg) = @_;

    @$self{keys %arg} = values %arg;

    open my $fh, '>', "$self->{prefix}/nginx.conf" or die "nginx.conf: $!\n";
    print $fh $self->conf_text;
    close $fh or die "nginx.conf: $!\n";
}


# Sanitizers write their reports to files that stop() finds.

sub _environment {
    my ($self) = @_;

    # where a worker, www-data, may write
    my $log = "log_path=$self->{prefix}/tmp/sanitizer";

    $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{BLOCKCAST_ASAN}, $log,
        'detect_stack_use_after_return=1';
    $ENV{UBSAN_OPTIONS} = join ':', grep { length } $ENV{BLOCKCAST_UBSAN}, $log,
        'print_stacktrace=1';
    $ENV{LSAN_OPTIONS} = join ':', grep { length } $ENV{BLOCKCAST_LSAN}, $log;
}


# Options of the sanitizer for nginx -t, and for conf/run, which calls it: it does
# not free its memory, which the sanitizer takes for a leak.

sub without_leaks { return join ':', grep { length } $_[0], 'detect_leaks=0' }


# Forks and executes a command with the prefix as its current folder, by which
# processes() finds it again, whatever its parent is then. Its output goes to the
# file $out. Returns the pid.

sub spawn {
    my ($self, $out, @command) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        %live = ();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        $self->_environment;
        chdir $self->{prefix} or POSIX::_exit(127);
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $out;
        open STDERR, '>&', \*STDOUT;
        { no warnings; exec @command; }
        POSIX::_exit(127);
    }

    return $pid;
}


sub start {
    my ($self) = @_;

    my $prefix = $self->{prefix};
    my %env = %{ $self->{env} // {} };
    local @ENV{keys %env} = values %env;

    $self->{master} = $self->spawn("$prefix/stderr.log", nginx_binary(),
        '-p', $prefix, '-c', "$prefix/nginx.conf", '-e', "$prefix/error.log");

    my $up = wait_for {
        if (waitpid($self->{master}, POSIX::WNOHANG()) != 0) {
            return 'gone' unless $self->{daemon} && $? == 0;
        }
        -s "$prefix/nginx.pid" && $self->can_connect && 'up';
    } 20;

    if ($up && $up eq 'up') {
        $self->{master} = $self->pid_file if $self->{daemon};
        return $self;
    }

    my $log = join '', map({ slurp($_) } "$prefix/stderr.log",
        "$prefix/error.log"), $self->sanitizer_reports;
    my $state = $up ? 'ended' : 'does not listen';

    delete $self->{master} if $up;
    $self->_kill_all;
    $self->{stopped} = 1;

    die "nginx $state after start:\n$log\n" . $self->conf_text;
}


sub can_connect {
    my ($self, $port) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port // $self->port, Proto => 'tcp', Timeout => 2)
        or return 0;
    close $s;
    return 1;
}


# Runs nginx -t on a configuration and returns its output and its exit code:
#   my ($out, $code) = Blockcast::Test->check_conf(http => '...');

sub check_conf {
    my ($class, %arg) = @_;

    return $class->new(%arg, start => 0)->test_conf;
}


# Does the same for an object made with start => 0, which cannot be used after.

sub test_conf {
    my ($self) = @_;

    my $prefix = $self->{prefix};

    local $ENV{BLOCKCAST_ASAN} = without_leaks($ENV{BLOCKCAST_ASAN});

    my $pid = $self->spawn("$prefix/stderr.log", nginx_binary(), '-t', '-p',
        $prefix, '-c', "$prefix/nginx.conf", '-e', 'stderr');

    my $done = wait_for { waitpid($pid, POSIX::WNOHANG()) == $pid } 20;
    my $code = $done ? ($? & 127 ? 128 + ($? & 127) : $? >> 8) : -1;

    kill 'KILL', $pid unless $done;

    my $out = slurp("$prefix/stderr.log") . $self->sanitizer_reports;

    $self->_kill_all;
    $self->{stopped} = 1;
    File::Path::remove_tree($prefix);
    delete $live{$self};

    return ($out, $code);
}


# The simulated node.

sub start_node {
    my ($self, %opt) = @_;

    my $log = "$self->{prefix}/node.log";
    my @opt = map { my $v = $opt{$_}; (my $n = $_) =~ s/_/-/g; ("--$n", $v) }
        grep { !/^(?:port|no_wait)$/ } sort keys %opt;
    my $port = $opt{port} // $self->{node_port} // free_port();

    unlink $log;
    $self->{node_pid} = $self->spawn($log, $ENV{BLOCKCAST_NODE} || 'node',
        "$ROOT/conf/simnode.mjs", '--host', '127.0.0.1', '--port', $port, @opt);
    $self->{node_port} = $port;
    $self->{node_addr} = "127.0.0.1:$port";

    return $self if $opt{no_wait};

    wait_for {
        waitpid($self->{node_pid}, POSIX::WNOHANG()) == 0
            or die "the simulated node ended: " . slurp($log) . "\n";
        $self->can_connect($port);
    } 20 or die "the simulated node does not listen: " . slurp($log) . "\n";

    return $self;
}


sub stop_node {
    my ($self) = @_;

    my $pid = delete $self->{node_pid} or return;
    kill 'TERM', $pid;
    wait_for { waitpid($pid, POSIX::WNOHANG()) == $pid } 5
        or kill 'KILL', $pid;
}


# A control call: $t->node(GET => '/control/stats'). Returns the decoded JSON.

sub node {
    my ($self, $method, $path, $body) = @_;

    my $r = $self->request($method, $path, port => $self->{node_port},
        defined $body ? (body => ref $body ? $JSON->encode($body) : $body,
            headers => { 'Content-Type' => 'application/json' }) : ());

    $r->{status} == 200
        or die "simulated node: $method $path: $r->{status} $r->{body}\n";

    return $JSON->decode($r->{body});
}


# What the node answers: set() a method's result, given byte for byte, or
# set_error() its error object; fault() breaks a method ('*': all) until heal(),
# in one of the ways conf/simnode.mjs lists. asked() is how often it was called.
# A method without a dot is one of the tests' own, which begin with "x.".

sub _method { $_[0] =~ /[.*]/ ? $_[0] : "x.$_[0]" }


sub set {
    my ($self, $method, $result) = @_;

    $method = _method($method);
    return $self->node(POST => '/control/set', qq({"method":"$method","result":$result}));
}


sub set_error {
    my ($self, $method, $error) = @_;

    $method = _method($method);
    return $self->node(POST => '/control/set', qq({"method":"$method","error":$error}));
}


sub fault {
    my ($self, $method, $fault, %opt) = @_;

    return $self->node(POST => '/control/fault',
        { method => _method($method), fault => $fault, %opt });
}


sub heal {
    my ($self, $method) = @_;

    return $self->node('DELETE', '/control/fault',
        defined $method ? { method => _method($method) } : {});
}


sub asked {
    my ($self, $method) = @_;

    return $self->node(GET => '/control/stats')->{by_method}{ _method($method) } // 0;
}


# What the module's API, at /api/, says of a stream: row() returns its row of the
# list; data() the text of the newest data, or of the answer when there is none.
# data() makes the stream be polled, as any request for its data does.

sub row {
    my ($self, $stream) = @_;

    my ($row) = grep { $_->{name} eq $stream }
        @{ ($self->get_json('/api/streams') // {})->{streams} // [] };
    return $row // {};
}


sub data {
    my ($self, $stream) = @_;

    my $body = $self->get("/api/streams/$stream")->{body};
    return $body =~ /\A\{"type":"[^"]*","data":(.*),"timestamp":\d+,"seq":\d+(?:,"epoch":\d+)?\}\z/s
        ? $1 : $body;
}


# The same decoded: nothing when there is none.

sub value {
    my ($self, $stream) = @_;

    return ($self->get_json("/api/streams/$stream") // {})->{data};
}


# Tests that wait: the data becomes this text; the stream fails with an error
# that matches and, with $text, keeps this data.

sub becomes {
    my ($self, $stream, $text, $name) = @_;
    my $got;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { ($got = $self->data($stream)) eq $text }, 20);
    return Test::More::is($got, $text, $name);
}


sub fails {
    my ($self, $stream, $re, $text, $name) = @_;
    my $error;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub {
        $self->data($stream);
        ($error = $self->row($stream)->{error} // '') =~ $re;
    }, 20);
    my $ok = Test::More::like($error, $re, $name);
    Test::More::is($self->data($stream), $text, 'and the last good data is kept')
        if defined $text;
    return $ok;
}


# The first request for a stream without listeners is answered with data if the
# node takes less than the second that the request waits; otherwise the data is
# there a little later.

sub first_asker {
    my ($self, $path, $name, %opt) = @_;
    my $start = time;
    my $r = $self->get($path, %opt);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { ($r = $self->get($path, %opt))->{status} == 200 }, 20)
        if $r->{status} == 503 && time - $start >= 1;
    return Test::More::is($r->{status}, 200, $name);
}


# An answer that is a JSON error: its status, "error", and a message that
# matches.

sub is_error {
    my ($self, $r, $status, $code, $re, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::subtest($name => sub {
        my $body = eval { $JSON->decode($r->{body}) } // {};

        Test::More::is($r->{status}, $status, "status $status");
        Test::More::is($r->{headers}{'content-type'}, 'application/json', 'JSON');
        Test::More::is($body->{error}, $code, "error $code");
        Test::More::like($body->{message}, $re, 'a message');
        Test::More::is($r->{headers}{'cache-control'}, 'no-store', 'kept by no cache');
    });
}


# What a browser reads of a response's head, in one line: the status,
# Access-Control-Allow-Origin and -Credentials, "vary" when Vary has Origin,
# "exposed" when the ETag is; "-" for what is not there.

sub cors {
    my ($head) = @_;

    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
    my %h;
    push @{ $h{lc $1} }, $2 while $head =~ /^([\w-]+): (.*?)\r?$/mg;
    my @vary = map { split /,\s*/ } @{ $h{vary} // [] };

    return join ' ', $status // 'none',
        join(' ', @{ $h{'access-control-allow-origin'} // ['-'] }),
        join(' ', @{ $h{'access-control-allow-credentials'} // ['-'] }),
        (grep { /^Origin$/i } @vary) ? 'vary' : '-',
        "@{ $h{'access-control-expose-headers'} // [] }" =~ /ETag/ ? 'exposed' : '-';
}


# One HTTP request on a connection of its own. Returns { status, reason,
# headers (names in lower case; repeated ones joined by ", "), body, head },
# and status 0 when no complete answer came. Options: port, headers, body,
# version (1.1), timeout (10 s), method HEAD reads no body.

sub request {
    my ($self, $method, $path, %opt) = @_;

    my %h = (Host => 'localhost', Connection => 'close', %{ $opt{headers} // {} });
    my $text = "$method $path HTTP/" . ($opt{version} // '1.1') . "\r\n";

    $h{'Content-Length'} //= length $opt{body} if defined $opt{body};
    $text .= join '', map { defined $h{$_} ? "$_: $h{$_}\r\n" : () } sort keys %h;
    $text .= "\r\n" . ($opt{body} // '');

    return $self->raw_request($text, method => $method, %opt);
}


sub get { my ($self, $path, %opt) = @_; $self->request(GET => $path, %opt) }


sub get_json {
    my ($self, $path, %opt) = @_;

    my $r = $self->get($path, %opt);
    return eval { $JSON->decode($r->{body}) };
}


sub raw_request {
    my ($self, $text, %opt) = @_;

    my $none = { status => 0, reason => '', headers => {}, body => '', head => '' };
    my $s = IO::Socket::INET->new(PeerAddr => $opt{host} // '127.0.0.1',
        PeerPort => $opt{port} // $self->port, Proto => 'tcp',
        Timeout => 5) or return $none;

    local $SIG{PIPE} = 'IGNORE';
    $s->syswrite($text);

    my ($buf, $end) = ('', time + ($opt{timeout} // 10));

    while (time < $end) {
        vec(my $rin = '', fileno $s, 1) = 1;
        select($rin, undef, undef, $end - time) > 0 or last;
        my $n = sysread $s, $buf, 65536, length $buf;
        last unless $n;
        my $r = _response($buf, $opt{method} // 'GET', 0);
        return $r if $r;
    }

    return _response($buf, $opt{method} // 'GET', 1) // { %$none, body => $buf };
}


sub _response {
    my ($buf, $method, $eof) = @_;

    my $i = index $buf, "\r\n\r\n";
    return if $i < 0;

    my ($head, $body) = (substr($buf, 0, $i), substr($buf, $i + 4));
    my ($line, @lines) = split /\r\n/, $head;
    my ($status, $reason) = $line =~ m{^HTTP/1\.[01] (\d+) ?(.*)} or return;
    my %h;

    for (@lines) {
        my ($n, $v) = /^([^:]+):\s*(.*)$/ or next;
        $h{lc $n} = exists $h{lc $n} ? "$h{lc $n}, $v" : $v;
    }

    my $r = { status => $status, reason => $reason, headers => \%h,
              head => $head, body => $body };

    return $r if $method eq 'HEAD' || $status == 304 || $status == 204;

    if (lc($h{'transfer-encoding'} // '') eq 'chunked') {
        my ($out, $at) = ('', 0);
        while (substr($body, $at) =~ /^([0-9a-f]+)[^\r\n]*\r\n/i) {
            my ($len, $skip) = (hex $1, length $&);
            if ($len == 0) { $r->{body} = $out; return $r; }
            return if length($body) < $at + $skip + $len + 2;
            $out .= substr $body, $at + $skip, $len;
            $at += $skip + $len + 2;
        }
        return;
    }

    if (defined $h{'content-length'}) {
        return if length $body < $h{'content-length'};
        return $r;
    }

    return $eof || $status == 101 ? $r : undef;
}


# A WebSocket client; see Blockcast::WebSocket for what it takes and can.

sub ws {
    my ($self, $path, %opt) = @_;

    my $ws = Blockcast::WebSocket->connect(port => $self->port,
        path => $path // '/ws', %opt);

    push @{ $self->{clients} }, $ws;
    Scalar::Util::weaken($self->{clients}[-1]);

    return $ws;
}


# Processes.

sub master_pid { $_[0]{master} }


# What the pid file says: after a binary upgrade, the new master.

sub pid_file {
    my ($self) = @_;

    return slurp("$self->{prefix}/nginx.pid") =~ /(\d+)/ ? $1 : undef;
}


sub processes {
    my ($self) = @_;

    my @pids;
    opendir my $dh, '/proc' or return;

    for my $pid (grep { /^\d+$/ && $_ != $$ } readdir $dh) {
        my $cwd = readlink "/proc/$pid/cwd";
        next unless defined $cwd && $cwd =~ m{^\Q$self->{prefix}\E(?: \(deleted\))?$};
        my ($state) = slurp("/proc/$pid/stat") =~ /\) (\S)/ or next;
        next if $state eq 'Z' || $state eq 'X';
        push @pids, $pid;
    }

    return sort { $a <=> $b } @pids;
}


sub _title {
    my $t = slurp("/proc/$_[0]/cmdline");
    $t =~ tr/\0/ /;
    return $t;
}


# Workers that take new connections, in the order of their pids.

sub worker_pids {
    my ($self) = @_;

    return grep { my $t = _title($_); $t =~ /worker process/
            && $t !~ /shutting down/ } $self->processes;
}


# Returns the worker with the other end of a client's socket, 0: none yet.

sub worker_of {
    my ($self, $socket) = @_;

    my @ends = map { sprintf ':%04X', $_ } $socket->peerport, $socket->sockport;
    my $inode = 0;

    for (split /\n/, slurp('/proc/net/tcp')) {
        my (undef, $local, $remote, @more) = split;
        $inode = $more[6] if substr($local // '', -5) eq $ends[0] && substr($remote, -5) eq $ends[1];
    }
    return 0 if !$inode;

    for my $pid ($self->worker_pids) {
        return $pid if grep { (readlink $_ // '') eq "socket:[$inode]" } glob "/proc/$pid/fd/*";
    }

    return 0;
}


# Every nginx process of this test: masters, workers, those shutting down.

sub nginx_pids {
    my ($self) = @_;

    return grep { my $t = _title($_); $t =~ /nginx/ && $t !~ /^nginx: blockcast jq/ } $self->processes;
}


# The processes in which workers run jq programs, and those that start them.

sub jq_pids {
    my ($self) = @_;

    return grep { _title($_) =~ /^nginx: blockcast jq/ } $self->processes;
}


sub signal {
    my ($self, $name, $pid) = @_;

    kill $name, $pid // $self->{master};
    return $self;
}


# Sends HUP and waits until as many new workers run as the configuration has,
# and, with gone => SECONDS, until the old ones are gone, calling `meanwhile`
# (for clients that answer). Returns true if so.

sub reload {
    my ($self, %opt) = @_;

    my %old = map { $_ => 1 } $self->worker_pids;

    $self->signal('HUP');

    my $ok = wait_for {
        my @new = grep { !$old{$_} } $self->worker_pids;
        @new >= $self->{workers} && !grep { $old{$_} } $self->worker_pids;
    } 15;

    return $ok unless $opt{gone};

    return $ok && wait_for {
        $opt{meanwhile}->() if $opt{meanwhile};
        !grep { $old{$_} } $self->nginx_pids;
    } $opt{gone};
}


# Logs.

sub slurp {
    my ($path) = @_;

    open my $fh, '<', $path or return '';
    local $/;
    return scalar(<$fh>) // '';
}


sub error_log { slurp("$_[0]{prefix}/error.log") }
sub access_log { slurp("$_[0]{prefix}/access.log") }


sub wait_log {
    my ($self, $re, $timeout) = @_;

    return wait_for { $self->error_log =~ $re } $timeout;
}


# Lines of the log that match may stay, whatever their level.

sub allow {
    my ($self, @re) = @_;

    push @{ $self->{allow} }, @re;
    return $self;
}


sub sanitizer_reports {
    my ($self) = @_;

    return join '', map { slurp($_) } glob "$self->{prefix}/tmp/sanitizer.*";
}


sub _kill_all {
    my ($self) = @_;

    kill 'KILL', $_ for $self->processes;
    waitpid $_, 0 for grep { $_ } delete @$self{qw(master node_pid)};
}


# Stops everything and returns sentences about what was wrong, if anything was.

sub shutdown {
    my ($self) = @_;

    return () if $self->{stopped}++;

    delete $live{$self};

    my @wrong;
    my $quit = $self->{quit};

    if (my $pid = $self->{master}) {
        kill 'QUIT', $pid;

        # after a binary upgrade the pid file names the other master, if any
        my $other = $self->{daemon} ? $self->pid_file : undef;
        kill 'QUIT', $other if $other;

        # Clients that the test has left open do not answer a Close. They leave
        # after a moment, or each nginx would wait seconds for them; what was
        # sent to them can still be read.
        my $leave = time + 0.3;

        my $gone = wait_for {
            waitpid $pid, POSIX::WNOHANG();

            if (time > $leave) {
                CORE::shutdown $_->{socket}, 1
                    for grep { $_ && !$_->{eof} } splice @{ $self->{clients} // [] };
            }

            !$self->nginx_pids && !$self->jq_pids;
        } $quit;

        if (!$gone) {
            push @wrong, "processes left $quit s after quit: "
                . join ', ', map { "$_ (" . _title($_) . ')' }
                $self->nginx_pids, $self->jq_pids;
        }
    }

    $self->stop_node;
    $self->_kill_all;

    for my $line (split /\n/, $self->error_log . slurp("$self->{prefix}/stderr.log")) {
        next unless $line =~ /\[(?:alert|emerg)\]|open socket .* left|core dumped|runtime error:/;
        next if grep { $line =~ $_ } @{ $self->{allow} };
        push @wrong, "log: $line";
    }

    my $report = $self->sanitizer_reports;
    push @wrong, "sanitizer: $report" if length $report;

    if (@wrong || $ENV{BLOCKCAST_KEEP}) {
        Test::More::diag("kept for a look: $self->{prefix}");
    } else {
        File::Path::remove_tree($self->{prefix});
    }

    return @wrong;
}


# Does the same as one test.

sub stop {
    my ($self, $name) = @_;

    my @wrong = $self->shutdown;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, $name // 'stopped: no alert, no process left')
        or Test::More::diag($_) for @wrong ? @wrong : ('');
}


# Cleans up after a suite that dies, times out, or forgets stop(), and makes it
# fail.

$SIG{$_} ||= sub { print STDERR "# ended by a signal\n"; exit 1 }
    for qw(INT TERM HUP);

END {
    my $status = $?;
    my @wrong = map { $_->{owner} == $$ ? $_->shutdown : () } values %live;

    if (@wrong) {
        print STDERR "# at the end: $_\n" for @wrong;
        $status ||= 1;
    }

    $? = $status;
}


1;
