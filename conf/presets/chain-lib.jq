# What the programs of the presets of chains have in common: quantities, and which of the blocks that were
# fetched are to be delivered. To be included: include "presets/chain-lib";
#
# Whatever a node sends costs no more than a bounded number of steps: a quantity is of 256 bits, a number
# of a block below 2^53.

# The hexadecimal digits of "0x1b4" as numbers; null when it is none, or longer than $max digits.
def digits($max):
    if type != "string" or length < 3 or length > $max + 2 or (startswith("0x") | not) then null
    else
        (.[2:] | ascii_downcase | explode
         | map(if . > 96 and . < 103 then . - 87 elif . > 47 and . < 58 then . - 48 else -1 end))
        | if min < 0 then null else . end
    end;

# A quantity ("0x1b4") as a number below 2^53, else as its decimal digits in a string; null when it is
# none.
def quantity:
    def fold: reduce .[] as $d (0; . * 16 + $d);
    if . == "0x0" then 0 elif . == "0x1" then 1
    else
        digits(64) as $digits
        | ($digits | length) as $n
        | if $digits == null then null
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
            | until(length == 1 or .[-1] != 0; .[:-1])
            | if length < 3 or (length == 3 and .[2] * 1e14 + .[1] * 1e7 + .[0] < 9007199254740992)
              then (.[2] // 0) * 1e14 + (.[1] // 0) * 1e7 + .[0]
              else reverse | (.[0] | tostring) + (.[1:] | map("000000\(.)"[-7:]) | join(""))
              end
          end
    end;

# The number of a block, and back.
def hex: digits(13) as $d | if $d == null then null else reduce $d[] as $x (0; . * 16 + $x) end;
def tag:
    def all: if . < 16 then [.] else ((. / 16 | floor) | all) + [. % 16] end;
    "0x" + (all | map("0123456789abcdef"[.:. + 1]) | join(""));

# A block as a node tells it. What is known of one delivered is the end of its hash.
def block: select(type == "object" and (.hash | type) == "string" and (.number | hex) != null);
def short: if type == "string" then .[-16:] else null end;

def head: [.results.head? | block] | .[0];
def fetched: .results.blocks?, .results.back? | arrays | .[] | block;

# Of what a log delivered: {number, hash, hashes: the last 256} of its newest block, and where it began
# (.first). After a start without a state it is the newest entry of the log that tells.
def known(number; hash):
    [number][0] as $number | [hash][0] as $hash
    | if .state != null then .state | .hash |= short | .hashes |= map(short)
                                   | .first //= .number - (.hashes | length) + 1
      elif (.last | type) != "object" or ($number | type) != "number" or ($hash | type) != "string" then null
      else { number: $number, hash: ($hash | short), hashes: [$hash | short], first: $number } end;

# What is missed is delivered as long as it is not more than this; else the newest 1000 are.
def most: 10000;

# The numbers of the next blocks to fetch, at most $n. One that the node fails to tell is passed over in
# every second poll (.skip): some chains have rounds without a block.
def range_from($known; $n):
    head as $head
    | if $known == null or $head == null then empty
      else
        ($head.number | hex) as $newest
        | (if $newest - $known.number > most then $newest - 1000
           elif $known.skip? != null and $known.tries % 2 == 0 then [$known.skip? // 0, $known.number] | max
           else $known.number end) as $from
        | range($from + 1; [$newest, $from + 1 + $n] | min)
      end;

# The numbers of the blocks to fetch again, when the next one does not stand on the one delivered last:
# that one and the 12 before it, and a few farther back. The newest of them that was delivered is where
# the chain is still the same.
def range_back($known):
    def before:
        [ range(.; . - 13; -1), . - (16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 255),
          (if . - $known.first < 256 then $known.first else empty end) ]
        | unique | reverse[];
    head as $head
    | if $known == null or $head == null then empty
      else
        ($head.number | hex) as $newest
        | ([.results.blocks? | arrays | .[] | block] | .[0] // $head) as $next
        | if $newest - $known.number > most then empty
          elif $newest > $known.number then
            if ($next.parentHash | short) == $known.hash then empty
            elif $known.unlinked? then $known.number
            else $known.number | before | select(. >= $known.first) end
          elif any($known.hashes[]; . == ($head.hash | short)) then empty
          else ($newest - 1) as $top | $top | before | select(. <= $top and (. >= $known.first or $top < $known.first)) end
        | select(. >= 0)
      end;

# {new, known, note, gap, stale, run, from}: the blocks to deliver now, oldest first; what is known after
# that; what happened, if anything did; what is not delivered; why nothing is; run and from are for until_block.
#
# A block is delivered when it stands on the one before: its parentHash is that one's hash. Numbers may be
# left out between the two. When the chain has another block in a place that was delivered, it goes on
# from the newest block that both have. A block that stands on none, while the one before is on the chain
# as it was, is waited with for two polls, and delivered then; blocks that do not come, for nine.
def chain($known):
    head as $head
    | if $head == null then { new: [], known: $known, run: [], from: null }
      elif $known == null then
        ($head | . + { n: (.number | hex), h: (.hash | short), p: (.parentHash | short) }) as $b
        | { new: [$head], known: { number: $b.n, hash: $b.h, hashes: [$b.h], first: $b.n }, run: [$b], from: null }
      else
        ([$head, fetched] | unique_by(.hash)
         | map(. + { n: (.number | hex), h: (.hash | short), p: (.parentHash | short) }) | sort_by(.n)) as $all
        | ($head.number | hex) as $newest
        | ([.results.back? | arrays | .[] | block] | length > 0) as $looked
        | (.errors.back? != null) as $failed
        | (.errors.blocks? != null or any(.results.blocks? | arrays | .[]; . == null)) as $holes
        | (reduce $known.hashes[] as $h ({}; .[$h] = true)) as $old
        | ([$all[] | select($old[.h])] | last) as $common
        | ($known.tries? // 0) as $tries
        | (if $newest - $known.number > most then { jump: true, after: ($newest - 1000) }
           elif $common != null and $common.h != $known.hash
                and ($looked or $newest < $known.number - 5)
           then { number: $common.n, hash: $common.h, after: $common.n }
           elif $looked and $common == null and ($failed or $known.unlinked? | not) then
             # another chain: all that was fetched of it, but not what was before the first one delivered
             { lost: true, after: (if $newest < $known.first then -1 else $known.first - 1 end) }
           else { number: $known.number, hash: $known.hash, after: $known.number } end) as $from
        | [$all[] | select(.n > $from.after)] as $next
        | (reduce $next[] as $b ({}; if $b.p == null then . else .[$b.p] = true end)) as $parents
        | ($from.hash != null and $common != null and $common.h == $known.hash
           and ($known.unlinked? != null or $tries >= 2)) as $bare
        # the last resort, in a poll that passes over what does not come
        | ($tries >= 9 and ($failed | not) and ($known.skip? == null or $tries % 2 == 0)) as $late
        | reduce $next[] as $b ({ run: [], h: $from.hash, n: $from.number };
            if .run == [] and $from.hash == null then .run = [$b] | .h = $b.h | .n = $b.n
            elif $b.n <= .n then .
            elif $b.p != null and $b.p == .h then .run += [$b] | .h = $b.h | .n = $b.n
            elif $parents[.h] then .
            elif ($bare and $b.n == .n + 1) or ($late and .run == [])
            then .bare //= $b | .run += [$b] | .h = $b.h | .n = $b.n
            else . end)
        | . as $r
        | [$r.run[] | select($old[.h] | not)] as $new
        | {
            new: ($new | map(del(.n, .h, .p))),
            known: (
              if $r.run != [] then
                { number: $r.n, hash: $r.h, hashes: (($known.hashes + ($new | map(.h)))[-256:]),
                  first: (if $from.jump or ($from.lost and $newest < $known.first) then $r.run[0].n else $known.first end) }
                + (if $r.bare != null then { unlinked: 64 }
                   elif ($known.unlinked? // 0) > 1 then { unlinked: ($known.unlinked - 1) } else {} end)
              elif $from.number != $known.number then
                { number: $from.number, hash: $from.hash, hashes: $known.hashes, first: ([$known.first, $from.number] | min) }
                | if .number == null then $known else . end
              elif $next == [] then $known | del(.tries, .skip)
              else
                ($known | if $looked and $common == null then del(.unlinked) else . end)
                + { tries: ($tries + 1) }
                + (if $holes and $tries > 0 and ($tries % 2 == 0 or $known.skip? == null)
                   then { skip: ([$known.skip? // 0, $known.number] | max + 1) } else {} end)
              end),
            note: (
              if $from.jump and $new != [] then
                "blocks \($known.number + 1) to \($new[0].n - 1) are not delivered: more than \(most) came since the last one"
              elif $from.lost then
                "none of the \($known.hashes | length) blocks delivered last is on the node's chain any more: it goes on with block \($new[0].n // $newest), after \($known.number)"
              elif $r.bare != null and $r.bare.n > $known.number + 1 and $r.bare.n == $r.run[0].n then
                "blocks \($known.number + 1) to \($r.bare.n - 1) are not delivered: the node did not tell them in \($tries + 1) polls"
              elif $r.bare != null and $known.unlinked? == null then
                "block \($r.bare.n) does not name block \($r.bare.n - 1) as its parent: it is delivered all the same, as the node has that one still"
              elif $from.number != null and $from.number < $known.number - 12 then
                "the node's chain is another one after block \($from.number): it goes on from there, after \($known.number)"
              elif $from.number != null and $newest < $known.number and $from.number < $known.number - 5 then
                "the chain is shorter than before: block \($newest) after \($known.number)"
              elif $r.run == [] and $next != [] and $tries >= 3 then
                "no block after \($known.number) can be delivered: the node has block \($newest), and does not tell what is between"
              else null end),
            gap: (
              if $from.jump and $new != [] then { from: ($known.number + 1), to: ($new[0].n - 1) }
              elif $from.lost | not then
                if $r.bare != null and $r.bare.n > $known.number + 1 and $r.bare.n == $r.run[0].n
                then { from: ($known.number + 1), to: ($r.bare.n - 1) } else null end
              else null end),
            stale: (
              if $r.run == [] and $next != [] and $tries >= 3 then
                "no block after \($known.number) comes, the node is at block \($newest)"
              else null end),
            run: $r.run, from: $from
          }
      end;

# What the module is told of that: a note, the gap, and that the log does not get on.
def told: (.note // empty), ({ gap, stale } | with_entries(select(.value != null)) | select(. != {}));

# What is known when the blocks before this one are delivered, and not this one. It is of .run of chain($known).
def until_block($chain; $known; $hash):
    ([$chain.run[] | .hash] | index($hash)) as $at
    | ([$chain.new[] | .hash] | .[:index($hash)]) as $whole
    | if $at > 0 then
        $chain.run[$at - 1]
        | { number: .n, hash: .h, hashes: ((($known.hashes // []) + ($whole | map(short)))[-256:]),
            first: $chain.known.first }
      elif $chain.from.hash? != null then
        ($known | del(.done)) + ($chain.from | { number, hash })
      else
        $chain.run[0]
        | { number: (.n - 1), hash: .p, hashes: ((($known.hashes // []) + [.p])[-256:]),
            first: ([$chain.known.first, .n - 1] | min) }
      end;

# The transactions of the new blocks that were not delivered yet, with their blocks.
def todo($chain; $done):
    [ $chain.new[]
      | (if $done.hash? == .hash then $done.count else 0 end) as $from
      | { number: (.number | hex), timestamp: (.timestamp | quantity), hash } as $b
      | .transactions | arrays | to_entries[$from:][] | select((.value.hash? | type) == "string")
      | { b: $b, i: .key, tx: .value } ];

# How many blocks the node has beyond the newest one that is delivered as a whole, of which $known tells.
def lag($known):
    (head | .number? | hex) as $newest
    | if $newest == null or $known.number? == null then 0 else [$newest - $known.number, 0] | max end;

# Whether each transaction's receipt is to be asked for: the node does not have eth_getBlockReceipts, which
# nodes say with different codes, or it failed in the poll before, too, or left a receipt out (.bad).
def by_each:
    .errors.receipts?.code as $code
    | any((-32601, -32602, -32004, -32700); . == $code)
      or (.errors.receipts? != null and (.state.bad? // 0) >= 1)
      or (.results.receipts? != null and (.state.done?.tries? // 0) >= 1);
