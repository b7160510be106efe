#!/usr/bin/perl

# Signatures of keys that expire. If this fails, who was allowed to watch an
# account for an hour watches it for as long as the connection lasts.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Test::More;
use Blockcast::KeyNode;
use Blockcast::Test qw(wait_for);

my $node = Blockcast::KeyNode->new;
my $secret = 'a secret of 26 characters';

my $t = Blockcast::Test->new(workers => 2, start => 0, http => <<'EOS', server => <<"EOS2");
    map $arg_who $mine { default ""; alice "signed/listed"; }
    blockcast_stream signed {
        blockcast_interval 200ms;
        blockcast_key account pattern=[a-z0-9]+ secret_file=%%PREFIX%%/secret;
        blockcast_call b k.raw 'params_jq=[.key]';
    }
EOS
        location /ws { blockcast_websocket; }
        location /mine { blockcast_websocket; blockcast_allow_keys \$mine; }
        location /events { blockcast_sse; }
        location = /n { blockcast_node; proxy_pass http://127.0.0.1:$node->{port};
                        proxy_http_version 1.1; proxy_set_header Connection ""; }
EOS2

open my $fh, '>', $t->prefix . '/secret' or die "$!\n";
print $fh "$secret\n";
close $fh;
$t->start;

sub claim {
    my ($key, $until) = @_;
    return (key => $key, expires => $until, signature => hmac_sha256_hex("signed\n$key\n$until", $secret));
}

sub next_of {
    my ($ws, $key, @types) = @_;

    while (my $m = $ws->recv_json(30)) {
        return $m if ($m->{key} // '') eq $key && grep { $_ eq $m->{type} } @types;
    }

    return {};
}

my $ws = $t->ws;
my $mine = $t->ws('/mine?who=alice');
my $cbor = $t->ws('/ws', subprotocol => 'blockcast.v1.cbor');
my $rpc = $t->ws('/ws', subprotocol => 'jsonrpc');
my $late = time + 1000;
my $soon = time + 8;

# What never expires, what does, and what is prolonged in time.

$mine->send_json({ type => 'subscribe', stream => 'signed', key => 'listed' });
is next_of($mine, 'listed', 'subscribed', 'error')->{type}, 'subscribed', 'a key of the list needs no signature';
$ws->send_json({ type => 'subscribe', stream => 'signed', claim($_, $soon) }) for 'short', 'prolonged';
$ws->send_json({ type => 'subscribe', stream => 'signed', claim($_, $late) }) for 'long', 'prolonged';
next_of($ws, 'prolonged', 'subscribed') for 1, 2;
$cbor->send_json({ type => 'subscribe', stream => 'signed', claim('short', $soon) });
$rpc->send_json({ jsonrpc => '2.0', id => 1, method => 'subscribe', params => ['signed', { claim('short', $soon) }] });
my ($m, $id);
wait_for { $m = $rpc->recv_json(5) // {}; $id = $m->{result} if ($m->{id} // 0) == 1; $id };
ok $id, 'JSON-RPC: subscribed';

my %short = claim('short', $soon);
my $query = join '&', map { "$_=$short{$_}" } qw(expires signature);
my $events = $t->request(GET => "/events/signed/short?$query", timeout => 60);
cmp_ok time, '>=', $soon, 'events end when the time has come';
like $events->{body}, qr/"key":"short","data":0/, '... and had the data until then';
$events = $t->request(GET => "/events/signed/short?$query", timeout => 30);
is $events->{status}, 403, '... and the next request is refused';
like $events->{body}, qr/signature of the key has expired/, '... with a sentence';

$m = next_of($ws, 'short', 'unsubscribed');
is "$m->{code} $m->{stream}", 'expired signed', 'the subscription ends, and the client is told';
is $m->{message}, 'the signature of the key has expired', '... why';
my $frame = '';
wait_for { my $f = $cbor->recv(5); $frame = $f ? $f->{payload} : ''; $frame =~ /unsubscribed/ };
like $frame, qr/dcodegexpired.*ckeyeshort/s, '... in CBOR, too';
wait_for { $m = $rpc->recv_json(5) // {}; ($m->{params}{result}{type} // '') eq 'unsubscribed' };
is "$m->{params}{subscription} $m->{params}{result}{code}", "$id expired", '... and in JSON-RPC, by its id';

# Nobody else is concerned.

$node->set(short => 5, long => 6, prolonged => 7, listed => 8);
my %has;
wait_for { $m = $ws->recv_json(5) // {}; $has{ $m->{key} } = $m if $m->{key}; ($has{long}{data} // 0) == 6 && ($has{prolonged}{data} // 0) == 7 };
is_deeply [map { $has{$_}{data} } 'long', 'prolonged'], [6, 7], 'those with a later time, and a newer signature, go on';
ok !$has{short}, '... and what has expired does not come';
wait_for { ($m = next_of($mine, 'listed', 'signed', 'unsubscribed'))->{data} == 8 };
is $m->{data}, 8, '... and who has a list goes on';

$ws->send_json({ type => 'subscribe', stream => 'signed', claim('short', $late) });
wait_for { ($m = next_of($ws, 'short', 'signed'))->{data} == 5 };
is $m->{data}, 5, 'with another signature there is the key again';

$t->stop;
done_testing;
