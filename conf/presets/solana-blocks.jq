# blocks of a Solana node: the finalized ones. Calls: final (the newest finalized slot), slots (those with a
# block), blocks (these). The state is the last slot looked at and the hash of the newest block delivered.

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;

(.results.final? | number) as $newest
| if $newest == null then error("no finalized slot: " + why) else . end
| (.state.slot? // .last.slot?) as $known
| (.state.hash? // .last.hash?) as $hash
| ($known | type == "number" and tonumber <= $newest) as $goes_on
| [.results.slots? | arrays | .[] | numbers] as $slots
| ([.results.blocks? | arrays | range(0; length) as $i | .[$i] | select(type == "object")
   | { slot: $slots[$i], height: (.blockHeight | number), hash: .blockhash, parent_hash: .previousBlockhash,
       parent_slot: (.parentSlot | number), timestamp: (.blockTime | number) }]
| if $goes_on then . else .[-1:] end) as $blocks
| { blocks: $blocks },
  (if $blocks != [] then { slot: $blocks[-1].slot, hash: $blocks[-1].hash }
   # none of the slots that were asked for has a block
   elif $goes_on and .results.slots? == [] then
     { slot: ([$known + 50, $newest] | min), hash: $hash }
   elif $goes_on and $newest > $known
   then (.state // { slot: $known, hash: $hash }) + { tries: ((.state.tries? // 0) + 1) }
   else .state end),
  (if $blocks == [] and $goes_on and $newest > $known and .results.slots? != [] and (.state.tries? // 0) >= 3
   then { stale: ("no block after slot \($known) comes, the node is at slot \($newest)"
                  + (if (.errors // {}) == {} then "" else ": " + why end)) }
   elif $blocks == [] or ($known | type) != "number" then empty
   elif $goes_on | not then "the chain is shorter than before: slot \($newest) after \($known)"
   elif $blocks[0].parent_slot != null and $blocks[0].parent_slot > $known
   then "the blocks of slots \($known + 1) to \($blocks[0].slot - 1) are not delivered: "
        + (if $newest - $known > 10000 then "more than 10000 came since the last one" else "the node does not have them" end),
        { gap: { from: ($known + 1), to: ($blocks[0].slot - 1) } }
   elif $hash != null and $blocks[0].parent_hash != $hash
   then "the block of slot \($blocks[0].slot) does not stand on the one delivered before: another chain"
   else empty end)
