# Params of further pages of energy.receipts, when the first one does not have all that was not delivered
# yet: presets/the-block-receipts-lib.jq tells how they are found.

include "presets/the-block-receipts-lib";

.state.energy? as $known
| (.results.energy? | page) as $p
| ($known.page_size? // 250) as $size
| if $p == null or $p.list == [] then empty
  elif oldest_first($p) then
    ($known.seen? // ($p.t - 1)) as $first
    | if $p.t <= $first then empty else { page: ($first / $size | floor), page_size: $size } end
  else
    ($known | cursor) as $c
    | (if $c == null or another($c; $p) then begin([$p]; $c != null) else $c end) as $from
    | if $from == null then
        (($known.find? // 0) / $size | floor) as $first | range($first; $first + 3) | { page: ., page_size: $size }
      else
        ($from | walk([$p]; 256).c) as $c
        | pages_for($c; $p; $size) | { page: ., page_size: $size }
      end
  end
