# peers of the real node. Call: peers (net.peer_stats_all).
#
#   id            peer_id, the peer's public key
#   address       the node tells none: null
#   latency_ms    what the last handshake took; 0 means that it was not measured: null
#   is_validator  the node tells none: null

if (.results.peers? | type) != "array"
then error("no peers: " + (.errors.peers?.message
    // "the node answers \(.results.peers? | tojson | .[:80])"))
else
    [ .results.peers[] | select(type == "object" and .peer_id != null)
      | (.metrics.last_handshake_ms? | if type == "number" and tonumber > 0 and tonumber < 600000
                                       then . else null end) as $latency
      | { id: .peer_id, address: null, latency_ms: $latency, is_validator: null } ]
    | { peers: ., total: length }
end
