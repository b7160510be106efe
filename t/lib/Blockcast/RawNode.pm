package Blockcast::RawNode;

# A node that answers with exactly the bytes it is given, for suites in which
# the spelling of a value matters:
#
#   my $node = Blockcast::RawNode->new;
#   $node->set(entries => '{"entries":[{"id":1e0}]}');     # the result
#   $node->set(bad => '{"code":1,"message":"\u0085"}', 'error');
#   ... upstream node { server 127.0.0.1:$node->{port}; }
#   $node->asked('entries')     # how often, so far
#   $node->stop;
#
# It ends with the process that made it, too.

use strict;
use warnings;

use File::Temp ();

use parent 'Blockcast::NodeProcess';


sub new {
    my ($class) = @_;

    return (bless { dir => File::Temp::tempdir(CLEANUP => 1) }, $class)->begin;
}


sub set {
    my ($self, $method, $bytes, $member) = @_;

    my $path = "$self->{dir}/$method";
    open my $fh, '>:raw', "$path.new" or die "$path: $!\n";
    print $fh '"', $member // 'result', '":', $bytes;
    close $fh or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
}


sub asked { return -s "$_[0]{dir}/$_[1].calls" || 0 }


sub answer {
    my ($self, $s, $request) = @_;
    my $body = $request->{body};

    my ($method) = $body =~ /"method"\s*:\s*"(\w+)"/;
    my ($id) = $body =~ /"id"\s*:\s*([^,}\s]+)/;
    my $what = '"error":{"code":-32601,"message":"method not found"}';

    if (open my $fh, '<:raw', "$self->{dir}/$method") {
        local $/;
        $what = <$fh>;
    }

    $self->_send($s, $method, qq({"jsonrpc":"2.0","id":$id,$what}));
}


sub _send {
    my ($self, $s, $method, $text) = @_;

    $self->send_all($s, $self->response($text));

    # after the answer: who has seen the number has what was set before
    open my $calls, '>>', "$self->{dir}/$method.calls" or return;
    print $calls '.';
    close $calls;
}


1;
