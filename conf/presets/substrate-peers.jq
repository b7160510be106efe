# peers of a Substrate node. Calls: health (system_health), peers (system_peers).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;

(.results.peers? | if type == "array" then map(select(type == "object")) else null end) as $list
| ([.results.health.peers?][0] | number) as $n
| if $list == null and $n == null then error("no peers: " + why) else . end
| {
    peers: (if $list == null then null
            else $list[:500] | map({ id: .peerId, roles: .roles, height: (.bestNumber | number), best_hash: .bestHash }) end),
    total: (if $list == null then $n else ($list | length) end)
  }
