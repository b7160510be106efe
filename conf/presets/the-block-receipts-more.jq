# Params of the second energy.receipts of a poll: a page that holds the oldest receipts which were not
# delivered yet, when the first page does not reach back to them.
#
# The node lists the newest block first, and inside a block the oldest receipt. The state has a block
# before which all receipts were delivered (.energy.block), how many were of it and of later ones (.count),
# and how many in all (.seen). So what is missing is at the first (total - seen + count) places. When these
# are more than a page they are read from the end, a page in each poll: then .walk says how many places
# are left (.hi) and what the total was (.at).
#
# Should a node list the oldest receipt first, what is missing is at the places from .seen on.

def newest_first($known; $total; $blocks):
    ($known.walk.at? // $known.seen) as $at
    | (($known.walk.hi? // $known.count) + $total - $at) as $hi
    | if $total < $at or ($blocks | max // 0) < $known.top          # another chain
         or $hi <= ($blocks | length)                               # the first page has all of them
         or ([$blocks[] | select(. > $known.top)] | length) == $total - $known.seen
      then empty
      else
        # the end of the page lies a little behind the last place: receipts that come while it is
        # read move the others back
        ($known.page_size // 250) as $max
        | ($hi + ([$max / 5 | floor, 25] | min)) as $last
        | (($last / $max | ceil) - 1) as $page
        | { page: $page, page_size: ($last / ($page + 1) | ceil) }
      end;

def oldest_first($known; $total; $blocks):
    ($known.page_size? // 250) as $size
    | ($known.seen? // ($total - 1)) as $first
    | if $total <= ($blocks | length) or $total <= $first then empty
      else { page: ($first / $size | floor), page_size: $size } end;

.state.energy? as $known
| (.results.energy? | if type == "object" and (.receipts | type) == "array"
                         and (.total | type) == "number" then . else null end) as $page
| if $page == null then empty
  else
    ($page.total | tonumber) as $total
    | [$page.receipts[] | select(type == "object") | .block_settled
       | select(type == "number") | tonumber] as $blocks
    | if $blocks[0] < ($blocks | last) then oldest_first($known; $total; $blocks)
      elif $known == null then empty
      else newest_first($known; $total; $blocks) end
  end
