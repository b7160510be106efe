# markets_health of a node with the design document's methods.
# Calls: compute (compute_market.stats), storage (storage.stats), energy (energy.market_state),
# ads (ad_market.stats), each on its own: one that fails makes its market "unavailable", with the
# error, and leaves the other three alone.

def number: if type == "number" then . elif type == "array" then length else null end;

# $shape: the figures; the first one decides between healthy and idle.
def market($call; $shape):
    .errors[$call]?.message as $failed
    | .results[$call]? as $r
    | (if ($r | type) == "object" then $r else {} end) as $o
    | ($shape | map({ key: .[0], value: ($o[.[1]] | number) })) as $figures
    | $figures[0].value as $main
    | (if $failed then $failed
       elif $r == null then "no result"
       elif ($r | type) != "object" then "the node answers \($r | tojson | .[:80])"
       elif $main == null then
           if ($r.status | type) == "string" and $r.status != "ok"
           then "the node answers \($r.status)" else "the reply has no \($shape[0][1])" end
       else null end) as $error
    | { status: (if $error then "unavailable"
                 elif ($main | tonumber) > 0 then "healthy" else "idle" end) }
      + ($figures | from_entries)
      + (if $error then { error: $error } else {} end);

{
    compute: market("compute"; [["active_jobs", "active_jobs"], ["total_providers", "providers"]]),
    storage: market("storage"; [["total_stored", "total_stored"], ["total_providers", "providers"]]),
    energy: market("energy"; [["total_credits", "total_credits"], ["active_traders", "active_traders"]]),
    ads: market("ads"; [["active_campaigns", "active_campaigns"],
                        ["total_impressions", "total_impressions"]])
} as $markets
| if [$markets[] | select(.status != "unavailable")] == []
  then error("no market answers: " + ([$markets | to_entries[] | "\(.key): \(.value.error)"] | join("; ")))
  else . end
| ([$markets[] | select(.status == "healthy")] | length) as $healthy
| {
    overall_status: (if $healthy >= 3 then "healthy" elif $healthy >= 1 then "degraded" else "down" end),
    markets: $markets,
    healthy_markets: $healthy,
    total_markets: 4
  }
