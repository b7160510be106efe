# How the pages of energy.receipts are read: what receipts and operations have in common with the
# programs that make their calls. To be included: include "presets/the-block-receipts-lib";
#
# The node lists the newest block first, and inside a block the oldest receipt. New ones get into the
# newest block, or a newer one, so they move the others back; but how many receipts are older than a
# block never changes. The cursor has
#
#   o    how many receipts are of blocks before the block that is delivered now: so they are at the last
#        o places of the list, whatever its length is
#   b    the number of this block; null as long as it was not seen
#   k    how many receipts of it were delivered
#   n    how many it has; null as long as its first one was not found, or it is the newest block
#   min  at least so many
#
# A receipt's place in its block (from 1 on) is what tells it from others that are alike.

# {off, till, t, blocks, list}: the places that a page has, and the length of the list when it was made.
def page:
    if type == "object" and (.receipts | type) == "array" and (.total | type) == "number" then
      (if (.page | type) == "number" and (.page_size | type) == "number" then .page * .page_size else 0 end) as $off
      | {
          off: $off, till: ($off + (.receipts | length)), t: ([.total, (.receipts | length)] | max), list: .receipts,
          blocks: [.receipts[] | if type == "object" and (.block_settled | type) == "number"
                                 then .block_settled else -1 end]
        }
    else null end;

# What a page has next: {c: the cursor after it, out: [{at, place}]}; null when it has nothing of it.
def step($c; $p; $room; $top):
    ($p.t - $c.o) as $e
    | if $e <= 0 or $room <= 0 then null
      elif $c.n != null then
        if $c.k >= $c.n then { c: { o: ($c.o + $c.n), b: null, k: 0, n: null, min: 0 }, out: [] }
        else
          ($e - $c.n + $c.k) as $at
          | if $at < $p.off or $at >= $p.till then null
            else
              ([$p.till - $at, $c.n - $c.k, $room] | min) as $m
              | { c: ($c | .k += $m), out: [range(0; $m) | { at: ($at + .), place: ($c.k + . + 1) }] }
            end
        end
      else
        ($e - 1 - $c.min) as $q
        | ($q >= $p.off and $q < $p.till) as $here
        | (if $c.b != null then $c.b elif $here then $p.blocks[$q - $p.off] else null end) as $b
        | if $b == null then null
          elif $top.b == $b and $p.t <= $top.t then          # the newest block begins at the list's begin
            ([$p.till, $e] | min) as $till
            | if $c.b == null then { c: ($c | .b = $b), out: [] }
              elif $c.k < $p.off or $c.k >= $till then null
              else
                ([$till - $c.k, $room] | min) as $m
                | { c: { o: $c.o, b: $b, k: ($c.k + $m), n: null, min: ([$c.min, $c.k + $m] | max) },
                    out: [range(0; $m) | { at: ($c.k + .), place: ($c.k + . + 1) }] }
              end
          elif $here | not then null
          elif $p.blocks[$q - $p.off] > $b then { c: ($c | .n = $c.min), out: [] }
          elif $p.blocks[$q - $p.off] < $b then null
          else
            (last(range($p.off; $q) | select($p.blocks[. - $p.off] != $b)) // null) as $before
            | if $before != null then { c: ($c | .b = $b | .n = $e - $before - 1), out: [] }
              elif $p.off == 0 then null
              else { c: ($c | .b = $b | .min = $e - $p.off), out: [] } end
          end
      end;

# What all pages have, from the cursor on: {c, out: [{place, receipt}]}, at most $most.
def walk($pages; $most):
    ([$pages[] | select(.off == 0 and .list != [])] | max_by(.t) | if . == null then {} else { b: .blocks[0], t } end) as $top
    | def on:
          . as $s
          | (first($pages[] | . as $p | step($s.c; $p; $most - ($s.out | length); $top) | select(. != null)
                   | { c, out: ($s.out + [.out[] | { place, receipt: $p.list[.at - $p.off] }]) }) // null) as $r
          | if $r == null then $s else $r | on end;
    { c: ., out: [] } | on;

# Where to begin with the pages of a node that nothing is known of: with the newest page, as far as it
# has whole blocks; null when that cannot be told yet. As the first receipt of all when there are not many.
def begin($pages; $all):
    $pages[0] as $p
    | if $p.t <= $p.till or ($all and $p.t <= 1000) then { o: 0, b: null, k: 0, n: null, min: 0 }
      elif $p.blocks[0] != $p.blocks[-1] then
        $p.blocks[-1] as $b | { o: ($p.t - ($p.blocks | index($b))), b: null, k: 0, n: null, min: 0 }
      else
        # a block of more than a page: where it ends is in one of the others, or of the next poll (.find)
        $p.blocks[0] as $b
        | first(
            ($pages[1:][] | . as $x
             | first(range(0; .blocks | length) | select($x.blocks[.] < $b)) | { o: ($x.t - $x.off - .) }),
            ($pages[1:][] | select(.till >= .t and .list != []) | { o: 0 }),
            null)
        | if . == null then null else { o, b: null, k: 0, n: null, min: 0 } end
      end;

# The cursor from what was kept; of a former version, too.
def cursor:
    if . == null then null
    elif (.o | type) == "number" then { o, b, k, n, min }
    elif (.block | type) == "number" and (.seen | type) == "number" and (.count | type) == "number"
    then { o: (.seen - .count), b: .block, k: .count, n: null, min: .count }
    else null end;

# Whether the list is that of another chain than the cursor.
def another($c; $p):
    $c != null and (
      $p.t < $c.o + $c.k
      or ($c.b != null and $c.k > 0
          and ((($p.blocks[0] // -1) < $c.b and $p.list != [])
               or ($p.t - $c.o - 1 < $p.till and $p.blocks[$p.t - $c.o - 1] != $c.b))));

def oldest_first($p): $p.blocks[0] < $p.blocks[-1] and $p.t > $p.till;

# The pages to ask for when the first one has not all: their numbers, 3 at most.
def pages_for($c; $p; $size):
    ($p.t - $c.o) as $e
    | if $c.o + $c.k >= $p.t then empty
      elif $c.n != null then
        (($e - $c.n + $c.k) / $size | floor) as $first
        | ([(($e - 1) / $size | floor), $first + 2] | min) as $last
        | range($first; $last + 1), range($first - 1; $last - 3; -1)
      elif $c.b != null and $c.b == $p.blocks[0] then
        ($c.k / $size | floor) as $first
        | range($first; [$first + 3, ($e / $size | ceil)] | min)
      else
        ($e - 1 - $c.min) as $q
        | ($q / $size | floor) as $last
        # receipts that come meanwhile move it to the next page
        | (if $q % $size >= $size - 25 then $last + 1 else $last end) | range(.; . - 3; -1)
      end
    | select(. >= 0);
