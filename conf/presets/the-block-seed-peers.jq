# peers of a node with the design document's methods. Call: peers (net.peers).

if (.results.peers? | type) != "object" or (.results.peers.peers | type) != "array"
then error("no peers: " + (.errors.peers?.message // "the reply has no list of peers"))
else
    [.results.peers.peers[] | select(type == "object") | { id, address, latency_ms, is_validator }]
    | { peers: ., total: length }
end
