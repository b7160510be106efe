# heads of an Ethereum node: each new block as the node tells it, byte for byte, for eth_subscribe newHeads.
# Calls: head, blocks, back, as those of blocks.

include "presets/chain-lib";

if head == null then error("no newest block: "
    + ([(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"] | join("; "))) else . end
| known(.last.number? | hex; .last.hash?) as $known
| (if $known != null and (head.number | hex) - $known.number > 64 then null else $known end) as $known
| chain($known) as $chain
| { heads: $chain.new }, $chain.known, ($chain.note // empty)
