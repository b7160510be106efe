# chain of an Ethereum node. Calls: block (eth_getBlockByNumber latest), number (eth_blockNumber, only
# when block failed), gas_price, peers, syncing, chain_id and client when ethereum-chain-once.jq says so, and
# final (the newest final block) when ethereum-chain-final.jq does. What the node does not answer is null. The
# state is the newest block, and when these three were asked.

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

. as $root
| (.previous? | if type == "object" then . else {} end) as $was
| (.results.block? | if type == "object" then . else {} end) as $block
| (.results.chain_id? | quantity) as $id
| (.results.client? | if type == "string" then . else null end) as $client
| ($id == null and $client == null) as $later
| (.results.final? != null or .errors.final? != null or ((.results // {}) | has("final"))) as $told
| (.results.final? | if type == "object" then .number | quantity else null end) as $final
| {
    height: ($block.number // .results.number? | quantity),
    gas_price: (.results.gas_price? | quantity),
    base_fee: ($block.baseFeePerGas | quantity),
    finalized: (if $told then $final else .previous.finalized? end),
    gas_used: ($block.gasUsed | quantity),
    gas_limit: ($block.gasLimit | quantity),
    tx_count: ($block.transactions | if type == "array" then length else null end),
    block_time: ($block.timestamp | quantity),
    peer_count: (.results.peers? | quantity),
    syncing: (.results.syncing?
        | if . == false then false
          elif type == "object" then { current_block: (.currentBlock | quantity),
                                       highest_block: (.highestBlock | quantity) }
          else null end),
    chain_id: (if $later then .previous.chain_id? else $id end),
    client: (if $later then .previous.client? else $client end)
  }
# the mean number of seconds from block to block since the last poll that saw another one
| .block_interval = (.height as $height | .block_time as $time | $was
    | if (.height | type) != "number" or (.block_time | type) != "number"
         or ($height | type) != "number" or ($time | type) != "number" or $height < .height
      then null
      elif $height == .height then .block_interval
      else ($time - .block_time) / ($height - .height) * 1000 | floor / 1000 end)
| . as $data
| $root
| if [$data.height, $data.gas_price, $data.peer_count, $data.syncing, $id, $client | select(. != null)] == []
  then error("the node answers nothing: " + why) else . end
| $data,
  { time: .time, asked: (if $later then .state.asked? // 0 else .time end),
    number: ($block.number | hex), hash: ($block.hash | short),
    final_at: (if $told then .time else .state.final_at? end),
    final_bad: (if $told then .errors.final? != null else .state.final_bad? end) },
  ([ (.previous.chain_id? as $was
      | if $was != null and $data.chain_id != null and $data.chain_id != $was
        then "the node is of another chain: chain id \($data.chain_id) after \($was)" else empty end),
     (.previous.client? as $was
      | if $was != null and $data.client != null and $data.client != $was
        then "the node is another one: \($data.client) after \($was)" else empty end),
     (.previous.height? as $was
      | if ($was | type) == "number" and ($data.height | type) == "number" and $data.height < $was
        then "the chain is shorter than before: block \($data.height) after \($was)" else empty end) ]
   | if . == [] then empty else join("; ") end)
