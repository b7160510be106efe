# receipts and operations of the real node: what it publishes of trades, which is the ledger of the
# compute market's settlements and the energy market's receipts. Of storage and ads it publishes none.
# Calls: audit (settlement.audit), energy (energy.receipts, the newest page), more (energy.receipts, an
# older page when the newest is not enough).
#
#   settlement.audit   id "settlement-SEQUENCE-TIMESTAMP", market compute, amount: the delta, negative
#                      for a debit; provider: the entity (of a refund: consumer); no block, hence null
#   energy.receipts    id "energy-BLOCK-METERHASH-BUYER-KWH" and a number for the second of two that
#                      are alike; market energy, amount: price_paid; no time, hence null
#
# The node's other figures keep their names. Each of the two is in its own order, the oldest first; at most
# 256 of each are delivered by one poll, the rest by the next ones. In the first poll it is the newest page
# and the newest 100 settlements.

def number: if type == "number" then tonumber else 0 end;
def text: if type == "string" then . else "" end;
def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

def settlement:
    (.entity | if . == "__anchor__" then null else . end) as $entity
    | (.memo | text | startswith("refund")) as $refund
    | {
        id: "settlement-\(.sequence | number)-\(.timestamp | number)",
        market: "compute", block_height: null, timestamp: .timestamp,
        provider: (if $refund then null else $entity end),
        consumer: (if $refund then $entity else null end),
        amount: .delta, balance: .balance, memo: .memo, sequence: .sequence
      }
    + (if .anchor == null then {} else { anchor: .anchor } end);

def meter_hash: .meter_reading_hash // .meter_hash;
def energy_receipt:
    {
        id: "energy-\(.block_settled | number)-\(meter_hash | text | .[:16])-\(.buyer | text | .[:24])-\(.kwh_delivered | number)",
        market: "energy", block_height: .block_settled, timestamp: null,
        provider: .seller, consumer: .buyer, amount: .price_paid,
        kwh_delivered: .kwh_delivered, treasury_fee: .treasury_fee,
        slash_applied: .slash_applied, meter_reading_hash: meter_hash
    };

# Alike receipts are numbered: 2 for the second one, and so on. $key is a short form of the id, by which
# the state knows a receipt.
def numbered:
    reduce .[] as $r ({ n: {}, out: [] };
        .n[$r.id] += 1
        | .n[$r.id] as $n
        | "\($r.block_height | number | . % 1000)/\($r.meter_reading_hash | text | .[:6])\($r.consumer | text | .[-4:])\($r.kwh_delivered | number)" as $key
        | .out += [if $n == 1 then $r + { $key }
                   else $r + { id: "\($r.id)-\($n)", key: "\($key)+\($n)" } end])
    | .out;

def operation:
    { id, type: .market, market, timestamp, block_height, provider, consumer, amount, status: null,
      details: (del(.id, .market, .timestamp, .block_height, .provider, .consumer, .amount)) };

# Both in their own order, evenly mixed: they have no common time to sort by.
def merged($one; $other):
    [ ($one, $other) | . as $list | range(0; length) | { at: ((. + 1) / ($list | length)), entry: $list[.] } ]
    | sort_by(.at) | map(.entry);

def page: if type == "object" and (.receipts | type) == "array" then . else null end;

# The settlements: what is new, and where it leads.
def settlements($list; $known):
    def at($s): type == "object" and .sequence == $s.sequence and .timestamp == $s.timestamp;
    if $known != null and ($list[-1] | at($known)) then { batch: [], state: $known }
    else
        ([$list[] | select(type == "object" and (.sequence | type) == "number")]
         | sort_by(.sequence | number)) as $all
        | ($all | last.sequence | number) as $newest
        # the ledger was begun anew: it is shorter, or the record delivered last is another one
        | ($known == null or $newest < $known.sequence
           or any($all[]; (.sequence | number) == $known.sequence
                          and (.timestamp | number) != $known.timestamp)) as $anew
        | (if $known == null then $all[-100:]
           elif $anew then $all
           else [$all[] | select((.sequence | number) > $known.sequence)] end) as $new
        | $new[:256] as $batch
        | {
            batch: ($batch | map(settlement)),
            state: (if $batch == [] then $known
                    else $batch[-1] | { sequence: (.sequence | number), timestamp: (.timestamp | number) } end),
            note: (if $known == null then null
                   elif $anew then "the ledger of settlements begins anew, with \($all[0].sequence | number)"
                   elif ($all[0].sequence | number) > $known.sequence + 1
                   then "settlements \($known.sequence + 1) to \(($all[0].sequence | number) - 1) are missing: the node shows the newest \($all | length)"
                   else null end)
          }
    end;

# The energy receipts, the same way; presets/the-block-receipts-more.jq tells how they are read. Nothing is
# delivered while a page does not reach back to the receipts that are known, so that none is left out:
# the node serves smaller pages, then, or more receipts came in between than there was room for.
def newest_first($page0; $more; $known):
    ($more // $page0) as $page
    | (if $more == null then 0 else ($more.page | number) * ($more.page_size | number) end) as $offset
    | ($page.total | if type == "number" then tonumber else ($page0.receipts | length) end) as $total
    | [$page.receipts[] | select(type == "object")] as $list
    | ([$list[] | .block_settled | number] | max // 0) as $top
    | ($known.walk.at? // $known.seen? // 0) as $at
    | (if $known == null or ($more == null and ($top < $known.top or $total < $at))
       then { block: -1, keys: [], count: 0, seen: ($total - ($list | length)), top: -1, at_top: 0 }
       else $known end) as $k
    | (if $k.top < 0 then 0 else ($k.walk.hi? // $k.count) + $total - $at end) as $hi
    | (reduce $k.keys[] as $key ({}; .[$key] = true)) as $old
    | ([$list[] | select((.block_settled | number) >= $k.block)]
       | sort_by(.block_settled | number) | map(energy_receipt) | numbered
       | map(select($old[.key] | not))) as $batch
    | (($batch | length) == $total - $k.seen) as $all_found
    | if $list == [] or ($offset + ($page.receipts | length) < $hi and ($all_found | not)) then
        {
          batch: [],
          state: (if $known == null or $more == null or $list == [] then $known
                  else $known + { page_size: ($more.page_size | number) } end)
        }
      else
        ([$k.top, ($batch[-1:][] | .block_height | number)] | max) as $newest
        | ([$batch[] | select((.block_height | number) == $newest)] | length) as $n
        | {
            block: $k.block, top: $newest,
            # how many were delivered of block .top and of .block and later ones, and in all
            at_top: ($n + (if $newest == $k.top then $k.at_top else 0 end)),
            count: ($k.count + ($batch | length)),
            seen: ([$k.seen + ($batch | length), $total] | min),
            # the state has room for so many; the log itself drops what it has had before
            keys: ($k.keys + ($batch | map(.key)))[-600:],
            page_size: $k.page_size?
          } as $next
        | (($k.walk.found? // 0) + ($batch | length)) as $found
        | {
            batch: ($batch | map(del(.key))),
            state: (
              if $offset > 0 and ($all_found | not) then
                $next + { walk: { hi: $offset, at: $total, found: $found } }
              elif $k.walk? != null and $next.seen < $total and $found > 0 then
                $next       # some came to where it had read already: read again
              else
                $next + {
                  block: $newest, count: $next.at_top, seen: $total,
                  keys: [$next.keys[] | select(startswith("\($newest % 1000)/"))]
                }
              end)
          }
      end;

# The same for a node that lists the oldest one first.
def oldest_first($page0; $more; $known):
    ($more // $page0) as $page
    | (if $more == null then 0 else ($more.page | number) * ($more.page_size | number) end) as $offset
    | ($page.total | number) as $total
    | ([$page.receipts[] | select(type == "object") | energy_receipt] | numbered | map(del(.key))) as $all
    | ($offset + ($all | length)) as $last
    | (if $known == null then [$last - 50, $offset] | max
       elif $total < $known.seen then 0 else $known.seen end) as $from
    | if $known == null and $last < $total then         # the last page is not where it was looked for
        { batch: [], state: { block: 0, top: 0, at_top: 0, count: 0, keys: [],
                              seen: ([$total - 50, 0] | max), page_size: ($page.page_size | number) } }
      elif $from < $offset or $last <= $from then
        { batch: [],
          state: (if $known == null or $more == null then $known
                  else $known + { page_size: ($more.page_size | number) } end) }
      else
        $all[$from - $offset:] as $batch
        | ($batch[-1].block_height | number) as $top
        | { batch: $batch,
            state: { block: $top, top: $top, at_top: 0, count: 0, keys: [], seen: $last,
                     page_size: $known.page_size? } }
      end;

def energies($page0; $more; $known):
    [$page0.receipts[] | select(type == "object") | .block_settled | number] as $blocks
    | if $blocks[0] < ($blocks | last) and ($page0.total | number) > ($blocks | length)
      then oldest_first($page0; $more; $known)
      else newest_first($page0; $more; $known) end;

. as $in
| (.results.audit? | if type == "array" then . else null end) as $audit
| (.results.energy? | page) as $page0
| (.results.more? | page) as $more
| if $audit == null and $page0 == null then error("no receipts: " + why) else . end
| (if $audit == null or $audit == [] then { batch: [], state: .state.audit? }
   else settlements($audit; .state.audit?) end) as $s
| (if $page0 == null then { batch: [], state: .state.energy? }
   else energies($page0; $more; .state.energy?) end) as $e
| merged($s.batch; $e.batch) as $batch
| { receipts: $batch, operations: ($batch | map(operation)) },
  { audit: $s.state, energy: $e.state },
  ([$s.note, (if .state.energy? != null and $page0 != null and ($page0.total | number) < (.state.energy.seen? // 0)
              then "the energy receipts begin anew: \($page0.total | number) after \(.state.energy.seen)" else null end)]
   | map(select(. != null)) | if . == [] then empty else join("; ") end)
