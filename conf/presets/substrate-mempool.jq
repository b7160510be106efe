# mempool of a Substrate node. Call: pending (author_pendingExtrinsics).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

if (.results.pending? | type) != "array" then error("no pending extrinsics: " + why) else .results.pending end
| map(strings) | { size: length, bytes: (map((length - 2) / 2) | add // 0) }
