# Params of chain_getBlockHash: a list of numbers, those between the newest block delivered and the newest
# finalized one, 20 at most.

include "presets/chain-lib";

(.results.final? | if type == "object" then .number | hex else null end) as $newest
| (.state.number? // .last.number?) as $known
| if $newest == null then empty
  elif ($known | type) != "number" or $known > $newest then [[$newest]]
  elif $known == $newest then empty
  else
    (if $newest - $known > 10000 then $newest - 1000 else $known end) as $from
    | [[range($from + 1; [$from + 21, $newest + 1] | min)]]
  end
