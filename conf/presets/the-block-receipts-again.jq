# Params of one more look at the list's begin, after pages of the newest block were read that do not begin
# there: is it the newest one still? Then its receipts are in the places where they were looked for.

include "presets/the-block-receipts-lib";

(.results.energy? | page) as $p
| if $p != null and $p.list != [] and (oldest_first($p) | not)
     and any(.results.more? | arrays | .[] | page | select(. != null); .t > $p.t and .off > 0)
  then { page: 0, page_size: 1 }
  else empty end
