# chain of a CometBFT node. Calls: status, net (net_info), app (abci_info).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;
def object($call): .results[$call]? | if type == "object" then . else {} end;

object("status") as $s
| ($s.sync_info | if type == "object" then . else {} end) as $sync
| if $sync == {} and (.results.net? | type) != "object" then error("the node answers nothing: " + why) else . end
| {
    height: ($sync.latest_block_height | number), best_block_hash: $sync.latest_block_hash,
    block_time: ($sync.latest_block_time | time), earliest_height: ($sync.earliest_block_height | number),
    syncing: ($sync.catching_up | if type == "boolean" then . else null end),
    chain: at($s.node_info.network), moniker: at($s.node_info.moniker),
    client: (at($s.node_info.version) | if type == "string" then "cometbft \(.)" else null end),
    app: at(object("app").response.data), app_version: at(object("app").response.version),
    voting_power: (at($s.validator_info.voting_power) | number),
    peer_count: (object("net").n_peers | number)
  } as $data
| $data,
  null,
  (.previous? as $was
   | if ($was.chain? | type) == "string" and $data.chain != null and $was.chain != $data.chain
     then "the node is of another chain: \($data.chain) after \($was.chain)"
     elif ($was.height? | type) == "number" and $data.height != null and $data.height < $was.height
     then "the chain is shorter than before: block \($data.height) after \($was.height)" else empty end)
