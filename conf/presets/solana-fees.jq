# fees of a Solana node: micro-lamports per unit of computing, of the last 150 slots. Call: fees
# (getRecentPrioritizationFees).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

if (.results.fees? | type) != "array" then error("no fees: " + why) else .results.fees end
| [.[] | .prioritizationFee? | numbers] | sort
| { slots: length, min: .[0], median: .[length / 2 | floor], p90: .[length * 0.9 | floor], max: .[-1] }
