# blocks of a Bitcoin node. Calls: info (getblockchaininfo), head (its newest block), hashes and blocks (those
# between it and the newest one delivered), back_hashes and back (after a reorganisation, some before that).

include "presets/bitcoin-lib";
include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;
def entry: {
    number: .height, hash: .hash, parent_hash: .previousblockhash,
    timestamp: (.time | number), tx_count: (.nTx? // (.tx? | if type == "array" then length else null end)),
    size: (.size | number), weight: (.weight | number), difficulty: (.difficulty | number),
    version: (.version | number), nonce: (.nonce | number), bits: .bits
};

why as $why
| as_chain
| if head == null then error("no newest block: " + $why) else . end
| chain(known_block) as $chain
| { blocks: ($chain.new | map(entry)) }, $chain.known, ($chain | told)
