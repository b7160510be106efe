# chain of a Bitcoin node. Calls: info (getblockchaininfo), network (getnetworkinfo), hashrate
# (getnetworkhashps). How many coins there are is not told: counting them holds the node up for minutes.

def number: if type == "number" then . else null end;
def text: if type == "string" then . else null end;
def object($call): .results[$call]? | if type == "object" then . else {} end;
def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

object("info") as $i
| object("network") as $n
| (.results.hashrate? | number) as $hashrate
| if ($i | length) == 0 and ($n | length) == 0 and $hashrate == null
  then error("the node answers nothing: " + why) else . end
| {
    height: ($i.blocks | number), headers: ($i.headers | number), best_block_hash: ($i.bestblockhash | text),
    # when the newest block was found; older nodes tell the median of the last 11 only
    block_time: ($i.time | number), median_time: ($i.mediantime | number),
    difficulty: ($i.difficulty | number), hashes_per_second: $hashrate,
    chain: ($i.chain | text),
    syncing: (if ($i.initialblockdownload | type) == "boolean" then $i.initialblockdownload
              elif ($i.blocks | type) == "number" and ($i.headers | type) == "number" then $i.blocks < $i.headers
              else null end),
    verification_progress: ($i.verificationprogress | number), pruned: $i.pruned,
    size_on_disk: ($i.size_on_disk | number),
    peer_count: ($n.connections | number), connections_in: ($n.connections_in | number),
    connections_out: ($n.connections_out | number),
    client: ($n.subversion | text), relay_fee: ($n.relayfee | number)
  } as $data
| $data,
  null,
  (.previous? as $was
   | if ($was.chain? | type) == "string" and $data.chain != null and $was.chain != $data.chain
     then "the node is of another chain: \($data.chain) after \($was.chain)"
     elif ($was.height? | type) == "number" and $data.height != null and $data.height < $was.height
     then "the chain is shorter than before: block \($data.height) after \($was.height)" else empty end)
