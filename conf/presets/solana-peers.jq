# peers of a Solana node. Call: nodes (getClusterNodes); a cluster has thousands, of which 500 are listed.

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

if (.results.nodes? | type) != "array" then error("no peers: " + why) else .results.nodes end
| map(select(type == "object"))
| { peers: (.[:500] | map({ id: .pubkey, address: .gossip, version: .version })), total: length,
    versions: (group_by(.version) | map({ version: (.[0].version | tostring), n: length }) | sort_by(-.n) | .[:10]) }
