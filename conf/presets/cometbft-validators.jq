# validators of a CometBFT chain, with their stake. Calls: validators, more (further pages of 100).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;

if (at(.results.validators.validators) | type) != "array" then error("no validators: " + why) else . end
| .results.validators as $first
| [ ($first.validators, (.results.more? | arrays | .[] | objects | .validators | arrays)) | .[] | select(type == "object")
    | { address: .address, voting_power: (.voting_power | number) } ] as $list
| {
    height: ($first.block_height | number), validators: $list, total: ($first.total | number // ($list | length)),
    voting_power: (if (($first.total | number) // 0) <= ($list | length)
                   then $list | map(.voting_power // 0) | add // 0 else null end)
  }
