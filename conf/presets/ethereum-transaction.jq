# transaction of an Ethereum node, an object by hash. Calls: head (the newest block's number) and, in the order of
# .keys, tx and receipt; null is a transaction that the node does not know, or that is in no block.

include "presets/chain-lib";

if (.results.tx? | type) != "array"
then error("the node answers nothing: " + (.errors.tx.message? // "replies of another type"))
else . end
| (.results.head? | quantity) as $head
| [.keys, .results.tx, (.results.receipt? // [])]
| transpose
| map(. as [$key, $tx, $receipt]
    | select($key != null)
    | ($tx | if type == "object" then . else {} end) as $tx
    | ($receipt | if type == "object" then . else {} end) as $receipt
    | (($receipt.blockNumber // $tx.blockNumber) | quantity) as $block
    | { key: $key, value: {
        state: (if $block != null then (if $receipt.status == "0x0" then "failed" else "mined" end)
                elif $tx.hash != null then "pending"
                else "unknown" end),
        block: $block,
        confirmations: (if ($block | type) == "number" and ($head | type) == "number" and $head >= $block
                        then [$head - $block + 1, 64] | min else 0 end),
        from: $tx.from, to: $tx.to, value: ($tx.value | quantity), nonce: ($tx.nonce | quantity),
        gas_used: ($receipt.gasUsed | quantity), gas_price: (($receipt.effectiveGasPrice // $tx.gasPrice) | quantity)
      } })
| from_entries
