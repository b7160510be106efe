# mempool of a Bitcoin node. Call: info (getmempoolinfo).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;

if (.results.info? | type) != "object" then error("no mempool: " + why) else .results.info end
| {
    size: (.size | number), bytes: (.bytes | number), usage: (.usage | number),
    max_usage: (.maxmempool | number), total_fee: (.total_fee | number),
    min_fee: (.mempoolminfee | number), loaded: .loaded
  }
