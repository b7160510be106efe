# Params of eth_getBlockByNumber: the blocks between the newest one delivered and the newest one of the
# node, which "head" has; the oldest first. When nothing was delivered yet, or more than 1000 blocks
# passed since, the stream goes on with the newest one.

def hex: reduce (ltrimstr("0x") | ascii_downcase | explode[]) as $c
    (0; . * 16 + (if $c > 96 then $c - 87 else $c - 48 end));
def tag:
    def digits: if . < 16 then [.] else ((. / 16 | floor) | digits) + [. % 16] end;
    "0x" + (digits | map("0123456789abcdef"[.:. + 1]) | join(""));
def block: select(type == "object" and (.hash | type) == "string" and (.number | type) == "string");

(.state // (.last | if . == null then .
            else { number: .block_number, hash: .block_hash, hashes: [.block_hash] } end)) as $known
| [.results.head? | block] | .[0] as $head
| if $known == null or $head == null then empty
  else
    ($head.number | hex) as $newest
    | if $newest - $known.number > 1000 then empty
      else range($known.number + 1; $newest) | [tag, true] end
  end
