# blocks of an Ethereum node. Calls: head (the newest block), blocks (those between it and the newest one
# delivered), back (after a reorganisation, the ones before that). The state is the newest block
# delivered and the hashes of the last 64.

def hex: reduce (ltrimstr("0x") | ascii_downcase | explode[]) as $c
    (0; . * 16 + (if $c > 96 then $c - 87 else $c - 48 end));
def block: select(type == "object" and (.hash | type) == "string" and (.number | type) == "string");

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

def entry: {
    number: (.number | quantity), hash: .hash, parent_hash: .parentHash,
    timestamp: (.timestamp | quantity), miner: .miner,
    gas_used: (.gasUsed | quantity), gas_limit: (.gasLimit | quantity),
    base_fee: (.baseFeePerGas | quantity),
    tx_count: (.transactions | if type == "array" then length else null end)
};

if [.results.head? | block] == [] then error("no newest block: " + why) else . end
| (.state // (.last | if . == null then . else { number, hash, hashes: [.hash] } end)) as $known
| chain($known) as $chain
| { blocks: ($chain.new | map(entry)) },
  (if $chain.new == [] then $known
   else {
     number: ($chain.run[-1].number | hex), hash: $chain.run[-1].hash,
     hashes: ((($known.hashes // []) + ($chain.new | map(.hash)))[-64:])
   } end)
