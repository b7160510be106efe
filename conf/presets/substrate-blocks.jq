# blocks of a Substrate node: the finalized ones. Calls: final_hash and final (the newest one), hashes (of the
# next ones), blocks (these), times (the time in the storage of each).

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def milliseconds:
    if type == "string" and startswith("0x") and length == 18
    then "0x" + (.[2:] as $h | [range(14; -1; -2) | $h[.:. + 2]] | join("")) | quantity
    else null end;

(.results.final? | if type == "object" then .number | hex else null end) as $newest
| if $newest == null then error("no finalized block: " + why) else . end
| (.state.number? // .last.number?) as $known
| (.state.hash? // .last.hash?) as $hash
| (.results.hashes? | if type == "array" then . else [] end) as $hashes
| (.results.times? | if type == "array" then . else [] end) as $times
| [.results.blocks? | arrays | range(0; length) as $i
   | .[$i] | objects | .block | objects | select(([.header.number?][0] | hex) != null)
   | { number: (.header.number | hex), hash: $hashes[$i], parent_hash: .header.parentHash,
       timestamp: ($times[$i] | milliseconds | if . == null then null else . / 1000 end),
       extrinsics: (.extrinsics? | if type == "array" then length else null end),
       state_root: .header.stateRoot }] as $blocks
| { blocks: $blocks },
  (if $blocks != [] then $blocks[-1] | { number, hash }
   elif ($known | type) == "number" and $newest > $known
   then (.state // { number: $known, hash: $hash }) + { tries: ((.state.tries? // 0) + 1) }
   else .state end),
  (if $blocks == [] and ($known | type) == "number" and $newest > $known and (.state.tries? // 0) >= 3
   then { stale: ("no block after \($known) comes, the node is at block \($newest)"
                  + (if (.errors // {}) == {} then "" else ": " + why end)) }
   elif $blocks == [] or ($known | type) != "number" then empty
   elif $blocks[0].number <= $known
   then "the chain is shorter than before: block \($blocks[0].number) after \($known)"
   elif $blocks[0].number > $known + 1
   then "blocks \($known + 1) to \($blocks[0].number - 1) are not delivered: more than 10000 came since the last one",
        { gap: { from: ($known + 1), to: ($blocks[0].number - 1) } }
   elif $blocks[0].parent_hash != $hash
   then "block \($blocks[0].number) does not stand on the one delivered before: another chain"
   else empty end)
