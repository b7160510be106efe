# transaction of a Bitcoin node, an object by txid. Calls: tx, in the order of .keys, null where the node knows none;
# head, which tells an unknown transaction from a node that does not answer.

if (.results.tx? | type) != "array" and (.results.head? | type) != "number"
then error("the node answers nothing: " + (.errors.tx.message? // .errors.head.message? // "replies of another type"))
else . end
| [.keys, (.results.tx? | if type == "array" then . else [] end)]
| transpose
| map(. as [$key, $tx]
    | select($key != null)
    | ($tx | if type == "object" then . else {} end) as $tx
    | { key: $key, value: {
        state: (if ($tx.confirmations // 0) > 0 then "mined" elif $tx.txid != null then "pending" else "unknown" end),
        block: $tx.blockhash, block_time: $tx.blocktime, confirmations: ([$tx.confirmations // 0, 100] | min),
        size: $tx.vsize, inputs: ($tx.vin | if type == "array" then length else null end),
        outputs: ($tx.vout | if type == "array" then length else null end)
      } })
| from_entries
