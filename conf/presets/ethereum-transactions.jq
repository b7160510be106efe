# transactions of an Ethereum node, with what their receipts say. Calls: head (the newest block), blocks
# (those between it and the newest one delivered), back (after a reorganisation, some before that), all
# with their transactions; receipts (eth_getBlockReceipts of the new blocks) or each
# (eth_getTransactionReceipt, where the node lacks that).
#
# At most 1000 are delivered by one poll, in the chain's order, the rest by the next ones; one whose
# receipt is not there yet is waited for, five polls at most, and none when the node fails in both calls
# for so long. The state is the newest block delivered as a whole, the hashes of the last 256, how far
# the next block got, and in how many polls no receipt came (.bad).

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

def entry($receipts):
    .b as $b | .i as $i | $receipts[.tx.hash] as $r
    | .tx
    | {
        hash: .hash, block_number: $b.number, block_hash: $b.hash, index: $i, timestamp: $b.timestamp,
        from: .from, to: .to, value: (.value | quantity),
        # the first four bytes say which method of a contract is called; of a new contract they are code
        method: (if .to == null then null
                 else [.input, .data | strings | select(length > 9)][0] | if . == null then null else .[:10] end end),
        nonce: (.nonce | quantity),
        type: (.type | quantity),
        gas_price: ($r.effectiveGasPrice // .gasPrice | quantity),
        gas_used: ($r.gasUsed | quantity), status: ($r.status | quantity),
        contract_address: $r.contractAddress
      };

if head == null then error("no newest block: " + why) else . end
| known(.last.block_number?; .last.block_hash?) as $known
| .state.done? as $done
| chain($known) as $chain
| todo($chain; $done) as $todo
| (reduce ((.results.receipts? | arrays | .[] | arrays | .[]), (.results.each? | arrays | .[])
           | select((.transactionHash? | type) == "string")) as $r ({};
       .[$r.transactionHash] = ($r | { effectiveGasPrice, gasUsed, status, contractAddress }))) as $receipts
| (if $todo == [] then .state.bad? // 0
   elif .errors.receipts? == null then 0
   else (.state.bad? // 0) + 1 end) as $bad
| (.errors.receipts? != null and .errors.each? != null
   and ($bad > 5 or (.errors.receipts.code == -32601 and .errors.each.code == -32601))) as $never
| ($never or $done.tries? == 5) as $without
| [first(range(0; $todo | length) | select($receipts[$todo[.].tx.hash] == null and ($without | not))),
   1000, ($todo | length)] as $stops
| ($stops | min) as $n
| ((if $n == ($todo | length) then $chain.known | del(.done)
    else
      $todo[$n] as $next
      | until_block($chain; $known; $next.b.hash)
      + {
          done: { hash: $next.b.hash, count: $next.i,
                  tries: (if $n > 0 or $done.hash? != $next.b.hash then 0 else ($done.tries // 0) + 1 end) }
        }
    end)
   | if . == null or $bad == 0 then del(.bad?) else . + { bad: $bad } end) as $state
| { transactions: ($todo[:$n] | map(entry($receipts))), lag: lag($state) },
  $state,
  ($chain | told)
