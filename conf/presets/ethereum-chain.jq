# chain of an Ethereum node. Calls: block (eth_getBlockByNumber latest), number (eth_blockNumber, only
# when block failed), gas_price, peers, syncing, and once a minute chain_id and client. What the node
# does not answer is null.

# A quantity ("0x1b4") as a number below 2^53, else as its decimal digits in a string; null when it is
# none.
def quantity:
    def fold: reduce .[] as $d (0; . * 16 + $d);
    if . == "0x0" then 0 elif . == "0x1" then 1
    elif type != "string" or (startswith("0x") | not) then null
    else
        (.[2:] | ascii_downcase | explode | map(if . > 96 then . - 87 else . - 48 end)) as $digits
        | ($digits | length) as $n
        | if $n == 0 or ($digits | max) > 15 or ($digits | min) < 0 then null
          elif $n < 14 then $digits | fold
          else                      # 7 hexadecimal digits at a time into limbs of 7 decimal ones
            reduce ($digits[:$n % 7], (range($n % 7; $n; 7) as $i | $digits[$i:$i + 7]) | fold) as $d ([0];
                reduce range(0; length) as $i ({ l: ., c: $d };
                    (.l[$i] * 268435456 + .c) as $x
                    | (($x / 10000000) | floor) as $c
                    | .l[$i] = $x - $c * 10000000
                    | .c = $c)
                | .c as $c
                | .l + (if $c == 0 then [] elif $c < 10000000 then [$c]
                        else [$c % 10000000, ($c / 10000000 | floor)] end))
            | if length < 3 or (length == 3 and .[2] * 1e14 + .[1] * 1e7 + .[0] < 9007199254740992)
              then (.[2] // 0) * 1e14 + (.[1] // 0) * 1e7 + .[0]
              else reverse | (.[0] | tostring) + (.[1:] | map("000000\(.)"[-7:]) | join(""))
              end
          end
    end;

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
  (if $later then .state else { asked: .time } end)
