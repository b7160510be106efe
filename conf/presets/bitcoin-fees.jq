# fees of a Bitcoin node. Calls: in_2 to in_144 (estimatesmartfee, which is null as long as the node has not
# seen enough; or estimatefee, which is -1 then), pool (getmempoolinfo).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;
def rate($call):
    .results[$call]?
    | if type == "object" then (.feerate // .fee) else . end
    | if type == "number" and tonumber > 0 then . else null end;

if (.results | length) == 0 then error("no fees: " + why) else . end
| {
    in_2_blocks: rate("in_2"), in_6_blocks: rate("in_6"), in_24_blocks: rate("in_24"), in_144_blocks: rate("in_144"),
    mempool_min: ([.results.pool.mempoolminfee?][0] | number), relay_min: ([.results.pool.minrelaytxfee?][0] | number)
  }
