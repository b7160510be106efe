# chain of an Ethereum node. Calls: block (eth_getBlockByNumber latest), number (eth_blockNumber, only
# when block failed), gas_price, peers, syncing, and chain_id and client when ethereum-chain-once.jq says
# so. What the node does not answer is null. The state is the newest block, and when these two were asked.

include "presets/chain-lib";

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

(.results.block? | if type == "object" then . else {} end) as $block
| (.results.chain_id? | quantity) as $id
| (.results.client? | if type == "string" then . else null end) as $client
| ($id == null and $client == null) as $later
| {
    height: ($block.number // .results.number? | quantity),
    gas_price: (.results.gas_price? | quantity),
    base_fee: ($block.baseFeePerGas | quantity),
    peer_count: (.results.peers? | quantity),
    syncing: (.results.syncing?
        | if . == false then false
          elif type == "object" then { current_block: (.currentBlock | quantity),
                                       highest_block: (.highestBlock | quantity) }
          else null end),
    chain_id: (if $later then .previous.chain_id? else $id end),
    client: (if $later then .previous.client? else $client end)
  } as $data
| if [$data.height, $data.gas_price, $data.peer_count, $data.syncing, $id, $client | select(. != null)] == []
  then error("the node answers nothing: " + why) else . end
| $data,
  { time: .time, asked: (if $later then .state.asked? // 0 else .time end),
    number: ($block.number | hex), hash: ($block.hash | short) },
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
