# transactions of an Ethereum node, with what their receipts say. Calls: head (the newest block), blocks
# (those between it and the newest one delivered), back (after a reorganisation, the ones before that),
# all with their transactions; receipts (eth_getBlockReceipts of the new blocks) or each
# (eth_getTransactionReceipt, where the node lacks that).
#
# At most 250 are delivered by one poll, in the chain's order, the rest by the next ones; one whose
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
    | . as $run
    | ($known.hashes // []) as $hashes
    | (reduce $hashes[] as $h ({}; .[$h] = true)) as $old
    | ($run | map($old[.hash] // false) | rindex(true)) as $last
    | {
        run: $run,
        new: (
          if $run == [] then []
          elif $last != null then $run[$last + 1:]
          # none is known: all of another chain, else not those before the first one delivered
          elif $known == null or ($head.number | hex) <= $known.number - ($hashes | length) then $run
          else $run | map(select((.number | hex) > $known.number - ($hashes | length))) end)
      };

# The transactions of the new blocks that were not delivered yet, with their blocks.
def todo($chain; $done):
    [ $chain.new[]
      | (if $done.hash? == .hash then $done.count else 0 end) as $from
      | { number: (.number | hex), timestamp: (.timestamp | if type == "string" then hex else . end), hash,
          parentHash } as $b
      | .transactions | arrays | to_entries[$from:][] | select((.value.hash? | type) == "string")
      | { b: $b, i: .key, tx: .value } ];

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

def entry($receipts):
    .b as $b | .i as $i | $receipts[.tx.hash] as $r
    | .tx
    | {
        hash: .hash, block_number: $b.number, block_hash: $b.hash, index: $i, timestamp: $b.timestamp,
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
| (reduce ((.results.receipts? | arrays | .[] | arrays | .[]), (.results.each? | arrays | .[])
           | select((.transactionHash? | type) == "string")) as $r ({};
       .[$r.transactionHash] = ($r | { effectiveGasPrice, gasUsed, status, contractAddress }))) as $receipts
| (.errors.receipts?.code == -32601 and .errors.each?.code == -32601) as $never
| ($never or $done.tries? == 5) as $without
| [first(range(0; $todo | length) | select($receipts[$todo[.].tx.hash] == null and ($without | not))),
   250, ($todo | length)] as $stops
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
        else { number: ($next.b.number - 1), hash: $next.b.parentHash } end)
     + {
         hashes: ((($known.hashes // [$next.b.parentHash]) + $whole)[-64:]),
         done: { hash: $next.b.hash, count: $next.i,
                 tries: (if $n > 0 or $done.hash? != $next.b.hash then 0 else ($done.tries // 0) + 1 end) }
       }
   end)
