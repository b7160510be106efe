# peers of a CometBFT node. Call: net (net_info).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;

if (.results.net? | type) != "object" then error("no peers: " + why) else .results.net end
| (.peers | if type == "array" then map(select(type == "object")) else [] end) as $list
| { peers: ($list[:500] | map({ id: at(.node_info.id), moniker: at(.node_info.moniker), address: .remote_ip,
                                version: at(.node_info.version), outbound: .is_outbound })),
    total: (.n_peers | number // ($list | length)) }
