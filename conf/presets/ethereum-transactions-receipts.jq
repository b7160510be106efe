# Params of eth_getBlockReceipts: the new blocks that have transactions, up to about 250 of these.

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

(.state // (.last | if . == null then .
            else { number: .block_number, hash: .block_hash, hashes: [.block_hash] } end)) as $known
| chain($known).new
| foreach .[] as $b ({ n: 0 };
    .before = .n | .n += ($b.transactions | if type == "array" then length else 0 end);
    select(.n > .before and .before < 250) | [$b.hash])
