# blocks of an Ethereum node. Calls: head (the newest block), blocks (those between it and the newest one
# delivered), back (after a reorganisation, some before that). The state is the newest block delivered and
# the hashes of the last 256.

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

def entry: {
    number: (.number | quantity), hash: .hash, parent_hash: .parentHash,
    timestamp: (.timestamp | quantity), miner: .miner,
    gas_used: (.gasUsed | quantity), gas_limit: (.gasLimit | quantity),
    base_fee: (.baseFeePerGas | quantity),
    tx_count: (.transactions | if type == "array" then length else null end)
};

if head == null then error("no newest block: " + why) else . end
| chain(known(.last.number?; .last.hash?)) as $chain
| { blocks: ($chain.new | map(entry)), lag: lag($chain.known) }, $chain.known, ($chain | told)
