# markets_health of the real node. A figure is null when its call failed; a market is "unavailable",
# with the error, when the call that decides about its health failed.
#
#   compute  active_jobs        compute_market.scheduler_stats
#            total_providers    the providers in compute_market.provider_balances
#   storage  total_stored       bytes of the objects that storage.manifests lists (at most 1000)
#            total_providers    the different providers of storage.discover_providers, which may list
#                               one twice
#   energy   total_credits      kWh of the open credits in energy.market_state; where a credit tells no
#                               amount, the number of credits
#            active_traders     the different buyers and sellers in energy.market_state's receipts
#   ads      active_campaigns   the campaigns of ad_market.inventory with budget left
#            total_impressions  the node has no such count: null

def failed($call): .errors[$call]?.message // null;
def answer($call; $member; $kind):
    .results[$call]? as $r
    | if failed($call) then { error: failed($call) }
      elif $r == null then { error: "no result" }
      elif ($r | type) != "object" then { error: "the node answers \($r | tojson | .[:80])" }
      elif ($r[$member] | type) == $kind then { value: $r[$member] }
      elif ($r.status | type) == "string" and $r.status != "ok"
      then { error: "the node answers \($r.status)" }
      else { error: "the reply has no \($member)" } end;
def objects: map(select(type == "object"));
def different(f): [.[] | f | select(type == "string")] | unique | length;
def sum(f): [.[] | f | select(type == "number") | tonumber] | add // 0;

def market($main; $figures; $other):
    { status: (if $main.error then "unavailable"
               elif ($figures[0].value | tonumber) > 0 then "healthy" else "idle" end) }
    + ($figures + $other | from_entries)
    + (if $main.error then { error: $main.error } else {} end);

def figure($key; value): [{ key: $key, value: value }];
def of($answer; f): if $answer.error then null else $answer.value | f end;

answer("compute"; "active_jobs"; "number") as $jobs
| answer("compute_providers"; "providers"; "array") as $compute
| answer("storage"; "manifests"; "array") as $manifests
| answer("storage_providers"; "providers"; "array") as $storage
| answer("energy"; "credits"; "array") as $credits
| answer("energy"; "receipts"; "array") as $receipts
| answer("ads"; "campaigns"; "array") as $campaigns
| {
    compute: market($jobs;
        figure("active_jobs"; of($jobs; .));
        figure("total_providers"; of($compute; objects | different(.provider)))),
    storage: market($manifests;
        figure("total_stored"; of($manifests; objects | sum(.total_len)));
        figure("total_providers"; of($storage; objects | different(.provider)))),
    energy: market($credits;
        figure("total_credits"; of($credits; objects
            | if all(.[]; (.amount_kwh | type) == "number") then sum(.amount_kwh) else length end));
        figure("active_traders"; of($receipts; objects | different(.buyer, .seller)))),
    ads: market($campaigns;
        figure("active_campaigns"; of($campaigns; objects
            | map(select(.remaining_budget_usd_micros != 0)) | length));
        figure("total_impressions"; null))
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
