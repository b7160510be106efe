#!/usr/bin/perl

# Presets with keys for Bitcoin, Solana and Substrate, at a node that answers as
# their documentation says. If this fails, who watches an account or a
# transaction there sees nothing, or another one's. Ethereum's are tried at a
# real node, in t/e2e/keys.test.mjs.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Blockcast::Test;

my $json = JSON::PP->new->canonical->allow_nonref;


sub gateway {
    my ($http) = @_;

    return Blockcast::Test->new(node => 1, start => 0, http => "blockcast_zone main 16m;\n$http", server => <<'EOS');
    location = /ws { blockcast_websocket; }
    location /api/ { blockcast_api; }
EOS
}


sub answers {
    my ($t, %result) = @_;

    $t->node(POST => '/control/set', { method => $_, result => $result{$_} })
        for keys %result;
}


sub watches {
    my ($t, $stream, $key, $expected, $name) = @_;

    my $ws = $t->ws;
    $ws->send_json({ type => 'subscribe', stream => $stream, key => $key });

    my $m = wait_for {
        my $m = $ws->recv_type($stream, 2);
        $m && $json->encode($m->{data}) eq $json->encode($expected) ? $m : undef
    } 20;

    ok($m, $name) or diag($json->encode([map { $_->{error} } $t->row($stream)]));
    is($m->{key}, $key, '... with its key') if $m;
    $ws->drop;
}


subtest Bitcoin => sub {
    my $t = gateway('include %%ROOT%%/conf/presets/bitcoin-keys.inc;');
    my ($mined, $unknown) = ('ab' x 32, 'cd' x 32);

    answers($t, getblockcount => 900_000, getrawtransaction => {
        txid => $mined, blockhash => '00ff', blocktime => 1_700_000_000, confirmations => 3, vsize => 141,
        vin => [{}], vout => [{}, {}],
    });
    $t->start;
    watches($t, transaction => $mined, { state => 'mined', block => '00ff', block_time => 1_700_000_000,
        confirmations => 3, size => 141, inputs => 1, outputs => 2 }, 'a transaction in a block');

    $t->node(POST => '/control/set', { method => 'getrawtransaction',
        error => { code => -5, message => 'No such mempool or blockchain transaction.' } });
    watches($t, transaction => $unknown, { state => 'unknown', block => undef, block_time => undef,
        confirmations => 0, size => undef, inputs => undef, outputs => undef }, 'one that is not known');
    $t->stop;
};


subtest Solana => sub {
    my $t = gateway('include %%ROOT%%/conf/presets/solana-keys.inc;');
    my ($account, $none) = ('9' x 44, '8' x 44);

    answers($t, getMultipleAccounts => { context => { slot => 5 }, value => [
        { lamports => 7_000_000_000, owner => '11111111111111111111111111111111', executable => JSON::PP::false,
          data => ['', 'base64'], rentEpoch => 361, space => 0 }] },
        getSignatureStatuses => { context => { slot => 82 }, value => [undef] });
    $t->start;
    watches($t, account => $account, { lamports => 7_000_000_000,
        owner => '11111111111111111111111111111111', executable => JSON::PP::false }, 'an account');

    answers($t, getMultipleAccounts => { context => { slot => 6 }, value => [undef] });
    watches($t, account => $none, undef, 'one that does not exist');

    answers($t, getSignatureStatuses => { context => { slot => 82 }, value => [
        { slot => 72, confirmations => 10, err => undef, status => { Ok => undef },
          confirmationStatus => 'confirmed' }] });
    watches($t, transaction => '5' x 88, { state => 'confirmed', slot => 72, confirmations => 10 }, 'a transaction');
    $t->stop;
};


subtest Substrate => sub {
    my $t = gateway(<<'EOF');
    blockcast_stream chain { blockcast_interval 300ms; blockcast_call head chain_getHeader; }
    include %%ROOT%%/conf/presets/substrate-keys.inc;
EOF
    answers($t, chain_getHeader => { number => '0x1' }, system_accountNextIndex => 4);
    $t->start;
    watches($t, account => '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY', { nonce => 4 }, 'an account');
    $t->stop;
};

done_testing();
