# receipts and operations of the real node: what it publishes of trades, which is the ledger of the
# compute market's settlements and the energy market's receipts. Of storage and ads it publishes none.
# Calls: audit (settlement.audit), energy (energy.receipts, the newest page), more (further pages when the
# newest is not enough), again (its begin once more).
#
#   settlement.audit   id "settlement-SEQUENCE-TIMESTAMP", market compute, amount: the delta, negative
#                      for a debit; provider: the entity (of a refund: consumer); no block, hence null
#   energy.receipts    id "energy-BLOCK-METERHASH-BUYER-KWH", and from the second one of a block on its
#                      place in that, for some are alike; market energy, amount: price_paid; no time,
#                      hence null
#
# The node's other figures keep their names. Each of the two is in its own order, the oldest first; at most
# 256 of each are delivered by one poll, the rest by the next ones. In the first poll it is the newest page
# (its oldest block only when it has all of that) and the newest 100 settlements.

include "presets/the-block-receipts-lib";

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
def energy_receipt($place):
    {
        id: ("energy-\(.block_settled | number)-\(meter_hash | text | .[:16])-\(.buyer | text | .[:24])-\(.kwh_delivered | number)"
             + if $place > 1 then "-\($place)" else "" end),
        market: "energy", block_height: .block_settled, timestamp: null,
        provider: .seller, consumer: .buyer, amount: .price_paid,
        kwh_delivered: .kwh_delivered, treasury_fee: .treasury_fee,
        slash_applied: .slash_applied, meter_reading_hash: meter_hash
    };

def operation:
    { id, type: .market, market, timestamp, block_height, provider, consumer, amount, status: null,
      details: (del(.id, .market, .timestamp, .block_height, .provider, .consumer, .amount)) };

# Both in their own order, evenly mixed: they have no common time to sort by.
def merged($one; $other):
    [ ($one, $other) | . as $list | range(0; length) | { at: ((. + 1) / ($list | length)), entry: $list[.] } ]
    | sort_by(.at) | map(.entry);

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

# The energy receipts, the same way: in the order of blocks, none before those that are missing.
def newest_first($pages; $known; $served):
    $pages[0] as $p
    | ($known | cursor) as $c
    | ($c | another(.; $p)) as $another
    | (if $c == null or $another then begin($pages; $c != null) else $c end) as $from
    | if $from == null then
        { batch: [],
          state: { find: ([$known.find? // 0, ($pages[1:][] | select(.list != []) | .till)] | max),
                   page_size: ($served // $known.page_size?) } }
      else
        ($from | walk($pages; 256)) as $r
        | {
            batch: [$r.out[] | .place as $place | .receipt | objects | energy_receipt($place)],
            state: ($r.c + { page_size: ($served // $known.page_size?) }),
            note: (if $another then "the energy receipts begin anew: \($p.t) after \($c.o + $c.k)" else null end)
          }
      end;

# The same for a node that lists the oldest one first.
def all_first($page0; $more; $known; $served):
    ($more // $page0) as $p
    | (if $known.seen? == null then [$p.till - 50, $p.off] | max
       elif $p.t < $known.seen then 0 else $known.seen end) as $from
    | (if ($known.seen? // 0) <= $p.t then null
       else "the energy receipts begin anew: \($p.t) after \($known.seen)" end) as $note
    | if $known == null and $p.till < $p.t then          # the last page is not where it was looked for
        { batch: [], state: { seen: ([$p.t - 50, 0] | max), page_size: $served }, note: null }
      elif $from < $p.off or $p.till <= $from then
        { batch: [], state: (if $known == null then null else $known + { page_size: ($served // $known.page_size) } end),
          note: $note }
      else
        reduce $p.list[$from - $p.off:][] as $r ({ b: $known.b?, k: ($known.k? // 0), batch: [] };
            (if ($r | type) == "object" then $r.block_settled else null end) as $b
            | .k = (if .b == $b then .k + 1 else 1 end) | .b = $b
            | .k as $place
            | .batch += [$r | objects | energy_receipt($place)])
        | { batch: .batch, state: { seen: $p.till, b: .b, k: .k, page_size: ($served // $known.page_size?) }, note: $note }
      end;

def energies($page0; $more; $again; $known; $served):
    if $page0.list == [] and $page0.t > 0 then { batch: [], state: $known, note: null }
    elif $page0.list == [] then
      { batch: [],
        state: { o: 0, b: null, k: 0, n: null, min: 0 },
        note: (if another($known | cursor; $page0) then "the energy receipts begin anew: there is none yet" else null end) }
    elif oldest_first($page0) or ($known.seen? != null and $known.count? == null)
    then all_first($page0; $more[0]; $known; $served)
    else newest_first([$page0] + $more + [$again | select(. != null)]; $known; $served) end;

. as $in
| (.results.audit? | if type == "array" then . else null end) as $audit
| (.results.energy? | page) as $page0
| [.results.more? | arrays | .[] | page | select(. != null)] as $more
| ([.results.more? | arrays | .[] | .page_size? | numbers | select(. > 0)] | .[0]) as $served
| (.results.again? | page) as $again
| if $audit == null and $page0 == null then error("no receipts: " + why) else . end
| (if $audit == null or $audit == [] then { batch: [], state: .state.audit? }
   else settlements($audit; .state.audit?) end) as $s
| (if $page0 == null then { batch: [], state: .state.energy? }
   else energies($page0; $more; $again; .state.energy?; $served) end) as $e
| merged($s.batch; $e.batch) as $batch
| { receipts: $batch, operations: ($batch | map(operation)) },
  { audit: $s.state, energy: $e.state },
  ([$s.note, $e.note] | map(select(. != null)) | if . == [] then empty else join("; ") end)
