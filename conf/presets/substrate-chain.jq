# chain of a Substrate node. Calls: best and final (headers), health, sync, runtime, name, client, version,
# properties, and of the newest block's storage now, issuance, validators, fees.

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def object($call): .results[$call]? | if type == "object" then . else {} end;
def text($call): .results[$call]? | if type == "string" then . else null end;
def number: if type == "number" then . else null end;

# An unsigned integer of fixed size, as storage has it: the lowest byte first.
def fixed:
    if type == "string" and startswith("0x") and length > 3 and length <= 34 and length % 2 == 0
    then "0x" + (.[2:] as $h | [range(($h | length) - 2; -1; -2) | $h[.:. + 2]] | join("")) | quantity
    else null end;

# How long a list is: its length comes first, in 1, 2 or 4 bytes.
def length_of:
    if type != "string" or (startswith("0x") | not) or length < 4 then null
    else
        (.[2:10] as $h | [range(0; $h | length; 2) | "0x" + $h[.:. + 2] | quantity]) as $b
        | if any($b[]; . == null) then null
          elif $b[0] % 4 == 0 then $b[0] / 4
          elif $b[0] % 4 == 1 and ($b | length) > 1 then ($b[0] + $b[1] * 256 - 1) / 4
          elif $b[0] % 4 == 2 and ($b | length) == 4
          then ($b[0] + $b[1] * 256 + $b[2] * 65536 + $b[3] * 16777216 - 2) / 4
          else null end
    end;
def first: if type == "array" then .[0] else . end;

if (.results | length) == 0 then error("the node answers nothing: " + why) else . end
| (object("best").number | hex) as $height
| {
    height: $height, finalized: (object("final").number | hex), best_hash: null, finalized_hash: text("final_hash"),
    block_time: (.results.now? | fixed | if type == "number" then . / 1000 else null end),
    chain: text("name"), client: text("client"), version: text("version"),
    runtime: (object("runtime") | if (.specName | type) == "string" then "\(.specName) \(.specVersion)" else null end),
    syncing: (object("health").isSyncing | if type == "boolean" then . else null end),
    highest_block: (object("sync").highestBlock | number), peer_count: (object("health").peers | number),
    total_issuance: (.results.issuance? | fixed),
    token: (object("properties").tokenSymbol | first), decimals: (object("properties").tokenDecimals | first),
    validators: (.results.validators? | length_of),
    fee_multiplier: (.results.fees? | fixed | if . == null then null else tonumber / 1e18 end)
  } as $data
| if $height == null and $data.finalized == null and $data.peer_count == null
  then error("the node answers nothing: " + why) else . end
| ($data | del(.best_hash)),
  null,
  (.previous? as $was
   | if ($was.chain? | type) == "string" and $data.chain != null and $was.chain != $data.chain
     then "the node is of another chain: \($data.chain) after \($was.chain)"
     elif ($was.finalized? | type) == "number" and $data.finalized != null and $data.finalized < $was.finalized
     then "the chain is shorter than before: block \($data.finalized) after \($was.finalized)" else empty end)
