# blocks of a CometBFT node. Calls: status, blocks (blockchain, the newest one first).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;

. as $in
| (at(.results.status.sync_info.latest_block_height) | number) as $newest
| if $newest == null then error("no newest block: " + why) else . end
| (.state.number? // .last.number?) as $known
| (.state.hash? // .last.hash?) as $hash
| [ .results.blocks? | arrays | .[] | objects | .block_metas | arrays | .[] | select((at(.header.height) | number) != null)
    | { number: (.header.height | number), hash: at(.block_id.hash), parent_hash: at(.header.last_block_id.hash),
        timestamp: (.header.time | time), time: .header.time, tx_count: (.num_txs | number),
        size: (.block_size | number), proposer: .header.proposer_address, app_hash: .header.app_hash } ]
| sort_by(.number)
# up to the first that is missing
| reduce .[] as $b ([]; if . == [] or .[-1].number + 1 == $b.number then . + [$b] else . end)
| { blocks: . },
  (if . != [] then .[-1] | { number, hash }
   elif ($known | type) == "number" and $newest > $known
   then ($in.state // { number: $known, hash: $hash }) + { tries: (($in.state.tries? // 0) + 1) }
   else $in.state end),
  (if . == [] and ($known | type) == "number" and $newest > $known and ($in.state.tries? // 0) >= 3
   then { stale: ("no block after \($known) comes, the node is at block \($newest)"
                  + ($in | if (.errors // {}) == {} then "" else ": " + why end)) }
   elif . == [] or ($known | type) != "number" then empty
   elif .[0].number <= $known then "the chain is shorter than before: block \(.[0].number) after \($known)"
   elif .[0].number > $known + 1
   then "blocks \($known + 1) to \(.[0].number - 1) are not delivered: "
        + (if $newest - $known > 10000 then "more than 10000 came since the last one" else "the node does not have them" end),
        { gap: { from: ($known + 1), to: (.[0].number - 1) } }
   elif $hash != null and .[0].parent_hash != $hash
   then "block \(.[0].number) does not stand on the one delivered before: another chain"
   else empty end)
