# supply of a Solana cluster. Calls: supply (getSupply), votes (getVoteAccounts).

def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;
def object($call): .results[$call]? | if type == "object" then . else {} end;
def sol: [.[] | objects | .activatedStake | select(type == "number") | tonumber] | (add // 0) / 1e9 | floor;

(object("supply").value | if type == "object" then . else {} end) as $s
| object("votes") as $v
| if $s == {} and ($v.current | type) != "array" then error("no supply: " + why) else . end
| {
    total: $s.total, circulating: $s.circulating, non_circulating: $s.nonCirculating,
    validators: (if ($v.current | type) == "array" then ($v.current | length) else null end),
    delinquent: (if ($v.delinquent | type) == "array" then ($v.delinquent | length) else null end),
    stake_sol: (if ($v.current | type) == "array" then ($v.current | sol) else null end),
    delinquent_stake_sol: (if ($v.delinquent | type) == "array" then ($v.delinquent | sol) else null end)
  }
