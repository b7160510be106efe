# mempool of a CometBFT node. Call: txs (num_unconfirmed_txs).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;

if (.results.txs? | type) != "object" then error("no mempool: " + why) else .results.txs end
| { size: ((.total? // .n_txs) | number), bytes: (.total_bytes | number) }
