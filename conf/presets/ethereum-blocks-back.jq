# Params of eth_getBlockByNumber after a reorganisation: when the next block does not stand on the one
# delivered last, the 12 blocks before it are fetched again, to deliver those that are new.

def hex: reduce (ltrimstr("0x") | ascii_downcase | explode[]) as $c
    (0; . * 16 + (if $c > 96 then $c - 87 else $c - 48 end));
def tag:
    def digits: if . < 16 then [.] else ((. / 16 | floor) | digits) + [. % 16] end;
    "0x" + (digits | map("0123456789abcdef"[.:. + 1]) | join(""));
def block: select(type == "object" and (.hash | type) == "string" and (.number | type) == "string");

(.state // (.last | if . == null then . else { number, hash, hashes: [.hash] } end)) as $known
| . as $in
| [.results.head? | block] | .[0] as $head
| if $known == null or $head == null then empty
  else
    ($head.number | hex) as $newest
    | ([$in.results.blocks? | arrays | .[] | block] | .[0] // $head) as $next
    | (if $newest > $known.number then
         if ($next.number | hex) == $known.number + 1 and $next.parentHash != $known.hash
         then $known.number else -1 end
       elif any($known.hashes[]; . == $head.hash) then -1
       else $newest - 1 end) as $top
    | range($top; $top - 12; -1) | select(. >= 0) | [tag, false]
  end
