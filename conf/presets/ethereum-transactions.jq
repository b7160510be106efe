# transactions of an Ethereum node, with what their receipts say. Calls: head (the newest block), blocks
# (those between it and the newest one delivered), back (after a reorganisation, the ones before that),
# all with their transactions; receipts (eth_getBlockReceipts of the new blocks) or each
# (eth_getTransactionReceipt, where the node lacks that).
#
# At most 500 are delivered by one poll, in the chain's order, the rest by the next ones; one whose
# receipt is not there yet is waited for, five polls at most. The state is the newest block delivered as
# a whole, the hashes of the last 64, and how far the next block got.

def hex: reduce (ltrimstr("0x") | ascii_downcase | explode[]) as $c
    (0; . * 16 + (if $c > 96 then $c - 87 else $c - 48 end));
def block: select(type == "object" and (.hash | type) == "string" and (.number | type) == "string");

# {run, new}: the blocks from the oldest fetched one on, as far as each stands on the one before, and
# those of them that were not delivered yet. Nothing when a block between is missing: the next poll
# fetches it again.
def chain($known):
    ([.results.head? | block] | .[0]) as $head
    | ([$head // empty, (.results.blocks?, .results.back? | arrays | .[] | block)]
       | unique_by(.hash) | sort_by(.number | hex)) as $all
    | (if $head == null then []
       elif $known == null or ($head.number | hex) - $known.number > 1000 then [$head]
       elif ($all[0].number | hex) > $known.number then
         if ($all[0].number | hex) == $known.number + 1 and $all[0].parentHash == $known.hash
         then $all else [] end
       elif .errors.back? then []
       else $all end)
    | reduce .[] as $b ([];
        if . == [] or (($b.number | hex) == (.[-1].number | hex) + 1 and $b.parentHash == .[-1].hash)
        then . + [$b] else . end)
    | (reduce ($known.hashes // [])[] as $h ({}; .[$h] = true)) as $old
    | { run: ., new: map(select($old[.hash] | not)) };

# The transactions of the new blocks that were not delivered yet, with their blocks.
def todo($chain; $done):
    [ $chain.new[] | . as $b
      | (if $done.hash? == .hash then $done.count else 0 end) as $from
      | .transactions | arrays | to_entries[$from:][] | { b: $b, i: .key, tx: .value } ];

# A quantity ("0x1b4") as a number below 2^53, else as its decimal digits in a string; null when it is
# none.
def quantity:
    if type != "string" or (startswith("0x") | not) then null
    else
        (ltrimstr("0x") | ascii_downcase | explode | map(if . > 96 then . - 87 else . - 48 end)) as $digits
        | if $digits == [] or any($digits[]; . < 0 or . > 15) then null
          else
            reduce $digits[] as $d ([0];                # limbs of 7 decimal digits, the lowest first
                reduce range(0; length) as $i ({ l: ., c: $d };
                    (.l[$i] * 16 + .c) as $x
                    | .l[$i] = $x % 10000000
                    | .c = ($x / 10000000 | floor))
                | if .c > 0 then .l + [.c] else .l end)
            | if length < 3 or (length == 3 and .[2] * 1e14 + .[1] * 1e7 + .[0] < 9007199254740992)
              then (.[2] // 0) * 1e14 + (.[1] // 0) * 1e7 + .[0]
              else reverse | (.[0] | tostring) + (.[1:] | map("000000\(.)"[-7:]) | join(""))
              end
          end
    end;

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

def entry($receipts):
    .b as $b | $receipts[.tx.hash] as $r
    | .tx
    | {
        hash: .hash, block_number: ($b.number | quantity), block_hash: $b.hash,
        index: (.transactionIndex | quantity), timestamp: ($b.timestamp | quantity),
        from: .from, to: .to, value: (.value | quantity), nonce: (.nonce | quantity),
        type: (.type | quantity),
        gas_price: ($r.effectiveGasPrice // .gasPrice | quantity),
        gas_used: ($r.gasUsed | quantity), status: ($r.status | quantity),
        contract_address: $r.contractAddress
      };

if [.results.head? | block] == [] then error("no newest block: " + why) else . end
| (.state // (.last | if . == null then .
            else { number: .block_number, hash: .block_hash, hashes: [.block_hash] } end)) as $known
| .state.done? as $done
| chain($known) as $chain
| todo($chain; $done) as $todo
| (reduce (.results.receipts?, .results.each? | arrays | .. | objects
           | select(.transactionHash? != null)) as $r ({}; .[$r.transactionHash] = $r)) as $receipts
| (.errors.receipts?.code == -32601 and .errors.each?.code == -32601) as $never
| ($never or $done.tries? == 5) as $without
| [first(range(0; $todo | length) | select($receipts[$todo[.].tx.hash] == null and ($without | not))),
   500, ($todo | length)] as $stops
| ($stops | min) as $n
| { transactions: ($todo[:$n] | map(entry($receipts))) },
  (if $chain.new == [] then .state
   elif $n == ($todo | length) then {
       number: ($chain.run[-1].number | hex), hash: $chain.run[-1].hash,
       hashes: ((($known.hashes // []) + ($chain.new | map(.hash)))[-64:])
     }
   else
     $todo[$n] as $next
     | ([$chain.new[] | .hash] | .[:index($next.b.hash)]) as $whole
     | ([$chain.run[] | .hash] | index($next.b.hash)) as $at
     | (if $at > 0 then $chain.run[$at - 1] | { number: (.number | hex), hash: .hash }
        elif $known != null then { number: $known.number, hash: $known.hash }
        else { number: (($next.b.number | hex) - 1), hash: $next.b.parentHash } end)
     + {
         hashes: ((($known.hashes // [$next.b.parentHash]) + $whole)[-64:]),
         done: { hash: $next.b.hash, count: $next.i,
                 tries: (if $n > 0 or $done.hash? != $next.b.hash then 0 else ($done.tries // 0) + 1 end) }
       }
   end)
