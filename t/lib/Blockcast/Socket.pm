package Blockcast::Socket;

# Test::Nginx::Socket for this module: `use Blockcast::Socket 'no_plan';` in
# place of `use Test::Nginx::Socket 'no_plan';`. The module is loaded, every
# block looks for [alert] and [emerg] in the log unless it says otherwise, and
# a block without `--- http_config` gets a zone.

use Test::Nginx::Socket -Base;
use Cwd ();
use File::Basename ();

our $ROOT = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../../..');
our $MODULE = $ENV{BLOCKCAST_MODULE}
    || "$ROOT/build/module/ngx_http_blockcast_module.so";

-f $MODULE or die "the module is not built, there is no $MODULE: run t/run\n";

add_block_preprocessor(sub {
    my ($block) = @_;

    if (!defined $block->main_config || $block->main_config !~ /load_module/) {
        $block->set_value('main_config', "load_module $MODULE;\n"
            . ($block->main_config // ''));
    }

    if (!defined $block->http_config && ($block->config // '') =~ /blockcast_/) {
        $block->set_value('http_config', "blockcast_zone main 4m;\n");
    }

    for my $name (qw(http_config config)) {
        my $text = $block->$name or next;
        $text =~ s/%%ROOT%%/$ROOT/g;
        $block->set_value($name, $text);
    }

    if (!defined $block->no_error_log && !defined $block->must_die
        && !defined $block->error_log)
    {
        $block->set_value('no_error_log', "[alert]\n[emerg]\n");
    }
});

no_shuffle() if $ENV{BLOCKCAST_NO_SHUFFLE};

1;
