# receipts and operations of a node with the design document's methods.
# Calls: recent (receipt.audit, the newest 50), more (the newest 3000, only when 50 were too few).
# When these are needed and do not come, nothing is delivered: the next poll asks for them again. But
# a node that does not take the limit (-32602) has no more.
# The state holds the ids of the receipts delivered last, newest first; what is newer is new. At most
# 500 are delivered by one poll, the oldest first, and the rest by the next ones.

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "the reply has no receipts" end;
def list: if type == "object" and (.receipts | type) == "array" then .receipts else null end;

# The markets' names are those of markets_health; every other member is the node's.
def receipt:
    . + {
        id: (.id // "\(.market)-\(.block_height)-\(.timestamp)-\(.provider)-\(.consumer)"),
        market: (.market | if type == "string" then ascii_downcase else null end
                 | if . == "ad" then "ads" else . end),
        block_height: .block_height, timestamp: .timestamp, provider: .provider,
        consumer: .consumer, amount: .amount
      };
def operation: {
    id, type: .market, market, timestamp, block_height, provider, consumer, amount,
    status: .status, details: .details
};

. as $in
| (.state.ids // (if .last == null then [] else [.last.id] end)) as $known
| (.results.recent? | list) as $recent
| (.results.more? | list) as $more
# as in presets/the-block-seed-receipts-more.jq
| (($known | length) > 0 and ($recent | length) >= 50
   and all($recent[] | objects; .id as $id | all($known[]; . != $id))) as $needed
| (if $needed and .errors.more.code? != -32602 then $more else $more // $recent end) as $list
| if $list == null then error("no receipts: " + why) else . end
| [$list[] | select(type == "object") | receipt] as $all
| (first(range(0; $all | length) | select(. as $i | any($known[]; . == $all[$i].id))) // ($all | length))
    as $new
| ($all[:$new] | reverse | .[:500]) as $batch
| { receipts: $batch, operations: ($batch | map(operation)) },
  { ids: (($batch | map(.id) | reverse) + $known)[:8] },
  (if $new == ($all | length) and $new > 0 and ($known | length) > 0
   then "none of the receipts delivered last is among the newest \($new): another chain, or more than these since"
   else empty end)
