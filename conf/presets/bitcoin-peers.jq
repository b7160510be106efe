# peers of a Bitcoin node. Call: peers (getpeerinfo).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;

if (.results.peers? | type) != "array" then error("no peers: " + why) else . end
| [ .results.peers[] | select(type == "object")
    | {
        id: .id, address: .addr, inbound: .inbound, network: .network, client: .subver,
        latency_ms: ((.pingtime? // .minping?) | if type == "number" then . * 1000 | floor else null end),
        height: ((.synced_headers? // .startingheight?) | if type == "number" and tonumber >= 0 then . else null end),
        connected_since: (.conntime | number), bytes_sent: (.bytessent | number), bytes_received: (.bytesrecv | number)
      } ]
| { peers: .[:500], total: length, inbound: (map(select(.inbound == true)) | length) }
