#!/usr/bin/perl

# The WebSocket to a node over TLS, and over the binary upgrade. If this fails,
# somebody in between can tell the gateway when to poll and reads its token, or
# an upgrade ends with no WebSocket, or with two.

use strict;
use warnings;

use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep time);

use Blockcast::HeadNode;
use Blockcast::Test;

my $NEW = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}';
my $dir = File::Temp->newdir;
chmod 0755, "$dir";

sub run { system("cd $dir && { @_; } >>log 2>&1") == 0 or die "@_: " . Blockcast::Test::slurp("$dir/log") }

# Two authorities, and what they and nobody else sign.

for my $ca (qw(ca other)) {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=$ca -keyout $ca.key -out $ca.pem");
}

sub certificate {
    my ($name, $ca, $san, $days) = @_;

    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout $name.key -out $name.csr",
        "&& printf 'subjectAltName=DNS:$san\\n' > $name.ext",
        "&& openssl x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days $days -extfile $name.ext -out $name.pem");
}

certificate(good => 'ca', 'node.test', 30);
certificate(wrong => 'ca', 'else.test', 30);
certificate(foreign => 'other', 'node.test', 30);
certificate(expired => 'ca', 'node.test', -1);
open my $fh, '>', "$dir/token" or die;
print $fh "t0ken-sekret\n";
close $fh;

my $node = Blockcast::HeadNode->new;
my $port = $node->port;

subtest 'wss' => sub {
    my @certs = qw(good wrong foreign expired);
    my @ports = map { free_port() } @certs, 'plain';

    my $t = Blockcast::Test->new(
        http => "blockcast_stream s { blockcast_node good; blockcast_call c x; }\n"
            . join('', map { "server { listen 127.0.0.1:$ports[$_] ssl; ssl_certificate $dir/$certs[$_].pem; ssl_certificate_key $dir/$certs[$_].key;
                access_log off;
                location / { proxy_pass http://127.0.0.1:$port; proxy_http_version 1.1; proxy_set_header Upgrade \$http_upgrade;
                    proxy_set_header Connection upgrade; proxy_set_header X-Sni \$ssl_server_name; proxy_set_header X-Tls \$ssl_protocol; } }\n" } 0 .. $#certs),
        server => join('', map { "location = /_$certs[$_] { blockcast_node $certs[$_]; proxy_pass http://127.0.0.1:1/;
                blockcast_head wss://127.0.0.1:$ports[$_]/$certs[$_] host=node.test ca=$dir/ca.pem bearer=$dir/token timeout=3s 'message=$NEW'; }\n" } 0 .. $#certs)
            . "location = /_plain { blockcast_node plain; proxy_pass http://127.0.0.1:1/; blockcast_head wss://127.0.0.1:$port/plain host=node.test ca=$dir/ca.pem timeout=1s; }
            location /api/ { blockcast_api; }");
    my $head = sub { my ($name) = @_; return (map { $_->{head} } grep { $_->{name} eq $name } @{ $t->get_json('/api/health')->{nodes} })[0] };

    ok(wait_for(sub { $head->('good')->{state} eq 'connected' }, 30), 'a good certificate');
    my ($seen) = grep { m{^GET /good } } map { $_->{text} } $node->events('head');
    like($seen, qr/^X-Sni: node\.test\r$/mi, 'SNI');
    like($seen, qr/^X-Tls: TLSv1\.[23]\r$/mi, "TLS");
    like($seen, qr/^Authorization: Bearer t0ken-sekret\r$/mi, 'the token');
    $node->notify('{"method":"x","params":{}}');
    ok(wait_for(sub { $head->('good')->{messages} >= 1 }, 20), 'messages come');

    for my $case ([wrong => qr/certificate is not for "node\.test"/], [foreign => qr/certificate is not valid: (?:unable to get local issuer|self.signed|unable to verify the first)/],
        [expired => qr/certificate is not valid: certificate has expired/], [plain => qr/the TLS handshake failed|no answer to the handshake/])
    {
        my ($name, $re) = @$case;
        wait_for(sub { ($head->($name)->{error} // '') =~ $re }, 30);
        like($head->($name)->{error}, $re, $name);
        is(scalar(grep { m{^GET /$name } } map { $_->{text} } $node->events('head')), 0, 'and nothing is sent');
    }

    unlike(Blockcast::Test::slurp($t->prefix . '/error.log'), qr/t0ken/, 'the token is in no log');
    $t->stop;
};

$node->stop;

subtest 'a binary upgrade' => sub {
    $node = Blockcast::HeadNode->new;
    mkdir "$dir/state";
    chmod 0777, "$dir/state";

    my $t = Blockcast::Test->new(workers => 2, daemon => 1, node => { rate_limit => 1000000 },
        http => "blockcast_state $dir/state/feeds; blockcast_drain 500ms; upstream node { server %%NODE%%; keepalive 8; }
            blockcast_stream num { blockcast_interval 10m; blockcast_stale 20m; blockcast_always on; blockcast_call c x.num; blockcast_head 'message=$NEW'; }",
        server => 'location = /_node { internal; blockcast_node; blockcast_head ws://127.0.0.1:' . $node->port . "; proxy_pass http://node/; proxy_set_header Host localhost; }
            location = /ws { blockcast_websocket; } location /api/ { blockcast_api; } location = /poke { blockcast_poke; }");

    $t->set(num => 1);
    ok(wait_for(sub { $node->open_now == 1 && $node->events('text') == 1 }, 30), 'connected');

    my $old = $t->master_pid;
    $t->signal(USR2 => $old);
    ok(wait_for(sub { -s $t->prefix . '/nginx.pid.oldbin' && $t->worker_pids == 4 }, 30), 'a second master with its workers');
    sleep 1;
    is($node->open_now, 1, 'still one connection: the new one follows');

    my $new = $t->pid_file;
    $t->signal(QUIT => $old);
    ok(wait_for(sub { $t->worker_pids == 2 && $node->events('text') == 2 && $node->open_now == 1 }, 30), 'the old one quits: the new one connects');
    is($node->most, 1, 'there were never two');

    my $ws = $t->ws('/ws');
    $ws->subscribe('num');
    is(($ws->recv_type('num', 20) // {})->{data}, 1, 'data');
    $t->set(num => 2);
    $node->notify('{"method":"eth_subscription","params":{"subscription":"0xsub1","result":{}}}');
    is(($ws->recv_type('num', 20) // {})->{data}, 2, 'and what the node tells starts a poll');

    $t->{master} = $new;
    $t->signal(QUIT => $new);
    ok(wait_for(sub { $t->nginx_pids == 0 }, 30), 'the end');
    ok(wait_for(sub { $node->open_now == 0 }, 20), 'and the connection is closed');
    unlike(Blockcast::Test::slurp($t->prefix . '/error.log'), qr/open socket/, 'no socket was left');
    $t->stop if $t->can('stop') && kill 0, $t->{master};
};

done_testing();
