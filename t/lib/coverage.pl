#!/usr/bin/perl

# coverage.pl FOLDER...: what the tests ran, of objects that were compiled with
# --coverage and lie below the folders. Prints a table of lines and branches by
# folder of src, and the functions that never ran.
#
# A file may have been compiled more than once (into the module, and into a unit
# test): a line counts as run when it ran in any of them.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Find;
use File::Temp qw(tempdir);
use JSON::PP;

my $root = abs_path('.');
my (%line, %branch, %function, @notes);

find({ no_chdir => 1, wanted => sub {
    push @notes, abs_path($File::Find::name) if /\.gcno$/;
} }, @ARGV);

my $dir = tempdir(CLEANUP => 1);

for my $note (@notes) {
    (my $data = $note) =~ s/gcno$/gcda/;

    my $json = qx(cd '$dir' && gcov --json-format --stdout --branch-probabilities '@{[ -f $data ? $data : $note ]}' 2>/dev/null);
    next unless $json;

    for my $text (split /\n/, $json) {
        for my $file (@{ decode_json($text)->{files} }) {
            my $name = $file->{file};
            next unless $name =~ s{^(?:\Q$root\E/|.*?/\.\./\.\./|\.\./)*(?=src/)}{};
            next if $name =~ m{^src/(?:core|event|http|os)/ngx_(?!http_blockcast)};
            next unless -f $name && $name =~ /\.c$/;

            for my $f (@{ $file->{functions} }) {
                $function{$name}{ $f->{name} } += $f->{execution_count};
            }

            for my $l (@{ $file->{lines} }) {
                my $n = $l->{line_number};
                $line{$name}{$n} += $l->{count};

                for my $i (0 .. $#{ $l->{branches} }) {
                    next if $l->{branches}[$i]{throw};
                    $branch{$name}{"$n.$i"} += $l->{branches}[$i]{count};
                }
            }
        }
    }
}

die "there is nothing to report below @ARGV\n" unless %line;

my (%sum, @never);

for my $name (sort keys %line) {
    my ($folder) = $name =~ m{^src/([^/]+)/};
    $folder //= '.';

    for my $key ($folder, 'all') {
        $sum{$key}{lines} += keys %{ $line{$name} };
        $sum{$key}{lines_run} += grep { $_ } values %{ $line{$name} };
        $sum{$key}{branches} += keys %{ $branch{$name} // {} };
        $sum{$key}{branches_run} += grep { $_ } values %{ $branch{$name} // {} };
    }

    push @never, map { "$name: $_" }
        grep { !$function{$name}{$_} } sort keys %{ $function{$name} };
}

printf "%-12s %14s %8s %16s %8s\n", qw(folder lines run branches taken);

for my $key ((grep { $_ ne 'all' } sort keys %sum), 'all') {
    my $s = $sum{$key};
    printf "%-12s %6d/%-7d %6.1f %% %7d/%-8d %6.1f %%\n", $key,
        $s->{lines_run}, $s->{lines}, 100 * $s->{lines_run} / $s->{lines},
        $s->{branches_run}, $s->{branches},
        100 * $s->{branches_run} / ($s->{branches} || 1);
}

print "\nnever run:\n", map { "  $_\n" } @never if @never;
