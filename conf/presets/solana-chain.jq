# chain of a Solana node. Calls: epoch (getEpochInfo), final (the newest finalized slot), time (of its block),
# health, samples (of transactions in the last minute), version.

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def number: if type == "number" then . else null end;
def object($call): .results[$call]? | if type == "object" then . else {} end;

object("epoch") as $e
| (.results.samples? | if type == "array" and (.[0] | type) == "object" then .[0] else {} end) as $s
| if ($e.absoluteSlot | number) == null and (.results.final? | number) == null
  then error("the node answers nothing: " + why) else . end
| {
    slot: ($e.absoluteSlot | number), height: ($e.blockHeight | number), finalized_slot: (.results.final? | number),
    block_time: (.results.time? | number), epoch: ($e.epoch | number),
    epoch_progress: (if ($e.slotIndex | number) != null and ($e.slotsInEpoch | number // 0) > 0
                     then $e.slotIndex / $e.slotsInEpoch * 1000 | floor | . / 1000 else null end),
    transaction_count: ($e.transactionCount | number),
    tps: (if ($s.numTransactions | number) != null and ($s.samplePeriodSecs | number // 0) > 0
          then $s.numTransactions / $s.samplePeriodSecs | floor else null end),
    # a node that is behind answers getHealth with an error that says how far
    syncing: (if .results.health? == "ok" then false elif .errors.health? != null then true else null end),
    health: (.results.health? // .errors.health?.message // null),
    client: (object("version")["solana-core"] | if type == "string" then "solana-core \(.)" else null end)
  } as $data
| $data,
  null,
  ([.previous.finalized_slot?][0] as $was
   | if ($was | type) == "number" and $data.finalized_slot != null and $data.finalized_slot < $was
     then "the chain is shorter than before: slot \($data.finalized_slot) after \($was)" else empty end)
