package Blockcast::ChainNode;

# A simulated Ethereum node with full blocks, which makes as many as the test
# says:
#
#   my $node = Blockcast::ChainNode->new(transactions => 250);
#   $node->head(60);            # the newest block, from now on
#   $node->asked('eth_getBlockByNumber')
#
# Transaction i of block n has the hash hash(n, i).

use strict;
use warnings;

use parent 'Blockcast::RawNode';


sub new {
    my ($class, %arg) = @_;

    local our $transactions = $arg{transactions} // 250;

    return $class->SUPER::new;
}


sub head {
    my ($self, $n) = @_;

    open my $fh, '>', "$self->{dir}/head.new" or die "head: $!\n";
    print $fh $n;
    close $fh or die "head: $!\n";
    rename "$self->{dir}/head.new", "$self->{dir}/head" or die "head: $!\n";
}


sub hash {
    my ($n, $i) = @_;

    return sprintf '0x%056x%08x', $n, $i;
}


my (%blocks, %receipts);

sub _make {
    my ($n) = @_;

    our $transactions;
    my ($hash, $number) = (hash($n, 0xffffff), sprintf '0x%x', $n);

    my @tx = map { sprintf '{"blockHash":"%s","blockNumber":"%s","hash":"%s","transactionIndex":"0x%x",'
        . '"type":"0x2","nonce":"0x%x","from":"0x%040x","to":"0x%040x","value":"0xde0b6b3a7640001",'
        . '"gas":"0x5208","gasPrice":"0x3b9aca07","maxFeePerGas":"0x77359400","maxPriorityFeePerGas":"0x3b9aca00",'
        . '"input":"0x%0136x","r":"0x%064x","s":"0x%064x","v":"0x1","yParity":"0x1","chainId":"0x7a69","accessList":[]}',
        $hash, $number, hash($n, $_), $_, $_, $_, $n, $_, $n, $_ } 0 .. $transactions - 1;

    my $head = sprintf '"number":"%s","hash":"%s","parentHash":"%s","timestamp":"0x%x","miner":"0x%040x",'
        . '"gasUsed":"0x1000000","gasLimit":"0x1c9c380","baseFeePerGas":"0x3b9aca07","logsBloom":"0x%0512x"',
        $number, $hash, hash($n - 1, 0xffffff), 1_700_000_000 + $n, 1, 0;

    $blocks{$n} = [
        sprintf('{%s,"transactions":[%s]}', $head, join ',', map { '"' . hash($n, $_) . '"' } 0 .. $transactions - 1),
        sprintf('{%s,"transactions":[%s]}', $head, join ',', @tx),
    ];

    $receipts{$hash} = '[' . join(',', map { sprintf '{"transactionHash":"%s","blockHash":"%s","blockNumber":"%s",'
        . '"status":"0x1","gasUsed":"0x5208","cumulativeGasUsed":"0x%x","effectiveGasPrice":"0x3b9aca07",'
        . '"contractAddress":null,"logs":[],"logsBloom":"0x%0512x","type":"0x2"}',
        hash($n, $_), $hash, $number, 21000 * $_, 0 } 0 .. $transactions - 1) . ']';
}


sub answer {
    my ($self, $s, $request) = @_;
    my $body = $request->{body};

    my ($method) = $body =~ /"method"\s*:\s*"(\w+)"/;
    my ($id) = $body =~ /"id"\s*:\s*([^,}\s]+)/;
    my $what = '"error":{"code":-32601,"message":"method not found"}';

    open my $fh, '<', "$self->{dir}/head" or die "head: $!\n";
    my $head = <$fh>;

    if ($method eq 'eth_getBlockByNumber') {
        my ($tag, $full) = $body =~ /"params"\s*:\s*\["(\w+)",(\w+)\]/;
        my $n = $tag eq 'latest' ? $head : hex $tag;
        _make($n) if $n <= $head && !$blocks{$n};
        $what = '"result":' . ($n <= $head ? $blocks{$n}[$full eq 'true'] : 'null');

    } elsif ($method eq 'eth_getBlockReceipts') {
        my ($hash) = $body =~ /"params"\s*:\s*\["(\w+)"\]/;
        $what = '"result":' . ($receipts{$hash} // 'null');
    }

    $self->_send($s, $method, qq({"jsonrpc":"2.0","id":$id,$what}));
}


1;
