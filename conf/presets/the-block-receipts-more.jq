# Params of the second energy.receipts of a poll: the page that holds the oldest receipts which were
# not delivered yet, when the first page does not reach back to them.
#
# Page 0 has the newest block first. The state says how many receipts there were up to the newest one
# delivered (.energy.seen) and which ones of its block (.energy.block) were delivered (.energy.ids), so
# all receipts of that block and later are at the first (total - seen + ids) places.

def energy: .results.energy? | if type == "object" and (.receipts | type) == "array"
    and (.total | type) == "number" then . else null end;

.state.energy? as $known
| energy as $page
| if $known == null or $page == null then empty
  else
    ([$page.receipts[] | select(type == "object") | .block_settled | select(type == "number") | tonumber]
     | max // 0) as $top
    | (($page.total | tonumber) - $known.seen + ($known.ids | length)) as $places
    | if $page.total < $known.seen or $top < $known.block
         or $places <= ($page.receipts | length)
      then empty                        # another chain, or page 0 has all of them
      else ($known.page_size // 250) as $size
        | { page: (($places - 1) / $size | floor), page_size: $size }
      end
  end
