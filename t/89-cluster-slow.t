#!/usr/bin/perl

# A cluster whose engine is far away, or at the end of a narrow line: all answer,
# and nothing is lost, but everything takes its time. If this fails, a gateway
# there never has the data, says 503 for ever, or the lead goes from one to the
# next without end, though nobody is away.

# needs: engine
# lane: waits

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Blockcast::Engine;
use Blockcast::Gateways;
use Blockcast::Ledger;
use Blockcast::Test;

plan skip_all => 'there is no redis-server or valkey-server' unless Blockcast::Engine::binary();

my $log = '{blockcast:t}:log';
my $node = Blockcast::Ledger->new(rate => 20, page => 3000, big => 550_000);

sub through { my ($way, %arg) = @_; gateway($node, "redis://127.0.0.1:$way->{port}", %arg) }
sub direct { my ($engine, %arg) = @_; gateway($node, "redis://127.0.0.1:$engine->{port}", %arg) }


# A round trip of 0.6 s, and an entry every 50 ms: whenever a reply is there, the
# log has something new already.

{
    my $engine = Blockcast::Engine->new;
    my $lead = direct($engine, interval => '50ms');
    my $crowd = roaming(ports => [$lead->port], size => 8, behind => 1);
    ok(during($crowd, 60, sub { role($lead) eq 'leader' && seq_of($lead) > 8 }), 'one leads, and publishes');

    my $way = $engine->way(delay => 0.3);
    my $far = through($way);

    # whoever comes before it has read the log waits for that
    my @ws = map { $far->ws('/ws') } 1 .. 10;
    my %epochs = map { (($_->recv_type('welcome', 20) // {})->{epoch} // 'none') => 1 } @ws;
    is_deeply([keys %epochs], [health($lead)->{epoch}], 'its first clients are greeted with the epoch of all');
    is(scalar(grep { $_->recv_type('welcome', 0.1) } @ws), 0, '... once');
    close $_->socket for @ws;

    ok(during($crowd, 60, sub { role($far) eq 'follower' }),
        'the way is longer than the time between two entries: it follows') or diag role($far), engine_error($far);
    is($far->get('/api/health')->{status}, 200, '... and is well');

    $crowd->{ports} = [$lead->port, $far->port];
    leave_all($crowd);
    $crowd->complete($lead, $node, 'all clients of both');

    # who leads dies: the other one has all of it, and leads over the long way
    my $before = seq_of($lead);
    $crowd->{ports} = [$far->port];
    kill_gateway($lead);
    ok(during($crowd, 60, sub { role($far) eq 'leader' && seq_of($far) > $before + 4 }),
        'it leads when the other one has died') or diag engine_error($far);
    $crowd->complete($far, $node, 'all there');

    $crowd->close_all;
    $far->stop;
}


# A line of 1.6 Mbit/s, and a log whose image, and one of whose entries, takes
# longer on it than a reply has time, and than a leader is waited for.

{
    my $engine = Blockcast::Engine->new;
    my @large = (zone => '32m', more => "blockcast_stream large { blockcast_interval 1h; blockcast_call one big timeout=10s; blockcast_call two big timeout=10s; blockcast_jq '.results'; "
        . "blockcast_always on; blockcast_max_size 4m; }\n");
    my $first = sub { $engine->do('XRANGE', $log, '-', '+', 'COUNT', 1)->[0] // ['', ['', '']] };
    my $near = direct($engine, @large);
    my $crowd = roaming(ports => [$near->port], size => 8, behind => 1);
    ok(during($crowd, 60, sub { role($near) eq 'leader' && $first->()->[1][1] eq 'i' }), 'one leads, and the log begins with an image');

    my @way = map { $engine->way(rate => 200_000) } 1 .. 2;
    my @far = map { through($_, @large) } @way;
    ok(during($crowd, 120, sub { 2 == grep { role($_) eq 'follower' } @far }), 'at the end of a narrow line: they follow')
        or diag map { role($_), engine_error($_) } @far;
    my $losses = losses(@far);
    $crowd->run(3);
    is(losses(@far), $losses, '... and go on to');
    is(losses($near), 0, '... and who leads still does');

    # its successor has all of it to append, first of all
    my $was = elections(@far);
    $crowd->{ports} = [map { $_->port } @far];
    kill_gateway($near);
    ok(during($crowd, 120, sub { leaders(@far) == 1 && $first->()->[1][1] eq 'i' && $first->()->[0] !~ /^1-/ }),
        'one of them leads, and the log begins with its image') or diag join ' ', $first->()->[0], map { role($_), engine_error($_) } @far;
    is(elections(@far), $was + 1, '... and nobody else wanted to') or diag map { $_->error_log } @far;
    is(losses(@far), $losses, '... nor was a connection lost');
    $crowd->complete((leaders(@far))[0], $node, 'the clients of both');

    $crowd->close_all;
    $_->stop for @far;
}

sub metric { my ($t, $name) = @_; $t->get('/metrics')->{body} =~ /^blockcast_cluster_$name (\d+)/m ? $1 : -1 }
sub elections { my $n = 0; $n += metric($_, 'elections_total') for @_; $n }
sub losses { my $n = 0; $n += metric($_, 'engine_losses_total') for @_; $n }


# A few bytes now and then are no answer: what INFO says would take seconds.

{
    my $engine = Blockcast::Engine->new;
    my $way = $engine->way(rate => 1000);
    my $t = through($way);
    ok(scalar(wait_for { engine_error($t) =~ /does not answer/ } 60), 'a kilobyte a second is not waited for') or diag engine_error($t);
    isnt(role($t), 'leader', '... and nobody leads');
    $t->stop;
}


# TLS 1.2 has two round trips of its own, of 0.7 s.

SKIP: {
    my $dir = File::Temp::tempdir('blockcast-tls-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
        . "subjectAltName=IP:127.0.0.1 -keyout $dir/key -out $dir/cert 2>$dir/log && chmod 644 $dir/key") == 0 or die slurp("$dir/log");
    my $tls = free_port();
    my $engine = eval { Blockcast::Engine->new('tls-port' => $tls, 'tls-cert-file' => "$dir/cert", 'tls-protocols' => 'TLSv1.2',
        'tls-key-file' => "$dir/key", 'tls-ca-cert-file' => "$dir/cert", 'tls-auth-clients' => 'no') }
        or skip 'this engine has no TLS', 2;

    my $way = $engine->way(to => $tls, delay => 0.35);
    my $t = gateway($node, "rediss://127.0.0.1:$way->{port} ca=$dir/cert");
    ok(scalar(wait_for { role($t) eq 'leader' } 60), 'TLS takes more than a second: it leads') or diag engine_error($t);
    $t->stop;

    # who says nothing is left all the same
    $way = $engine->way(to => $tls);
    $t = gateway($node, "rediss://127.0.0.1:$way->{port} ca=$dir/cert");
    wait_for { role($t) eq 'leader' } 60;
    $engine->stop;
    ok(scalar(wait_for { engine_error($t) =~ /TLS is not there within 3000 ms/ } 60), 'an engine that hangs: TLS is not waited for longer')
        or diag engine_error($t);
    $engine->cont;
    $t->stop;
}


$node->stop;
done_testing();
