# blocks of an Ethereum node. Calls: head (the newest block), blocks (those between it and the newest one
# delivered), back (after a reorganisation, the ones before that). The state is the newest block
# delivered and the hashes of the last 64.

def hex: reduce (ltrimstr("0x") | ascii_downcase | explode[]) as $c
    (0; . * 16 + (if $c > 96 then $c - 87 else $c - 48 end));
def block: select(type == "object" and (.hash | type) == "string" and (.number | type) == "string");

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
