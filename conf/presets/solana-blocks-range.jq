# Params of getBlocks: the slots from the one after the newest block delivered, or looked at, on.

(.results.final? | if type == "number" then tonumber else null end) as $newest
| (.state.slot? // .last.slot?) as $known
| if $newest == null then empty
  elif ($known | type) != "number" or $known > $newest then [[0, $newest - 10] | max, $newest, { commitment: "finalized" }]
  elif $known == $newest then empty
  else
    (if $newest - $known > 10000 then $newest - 1000 else $known end) as $from
    | [$from + 1, ([$from + 50, $newest] | min), { commitment: "finalized" }]
  end
