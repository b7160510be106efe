# scheduler of the real node. Call: stats (compute_market.scheduler_stats; a node without it is asked
# for the design document's scheduler.stats, which has the first four figures itself).
#
#   pending_operations                jobs queued, of all three priorities
#   avg_wait_time_ms, ops_per_block,
#   ops_per_second                    the node has no such figure: null
#   active_jobs ... utilization       as the node names them

def number: if type == "number" then . else null end;

if (.results.stats? | type) != "object"
then error("no scheduler figures: " + (.errors.stats?.message
    // "the node answers \(.results.stats? | tojson | .[:80])"))
elif .results.stats | has("pending_operations")
then .results.stats | { pending_operations, avg_wait_time_ms, ops_per_block, ops_per_second }
else .results.stats
    | ([.queued_high, .queued_normal, .queued_low] | map(select(type == "number") | tonumber)
       | if length == 0 then null else add end) as $queued
    | {
        pending_operations: $queued, avg_wait_time_ms: null, ops_per_block: null, ops_per_second: null,
        active_jobs: (.active_jobs | number), success: (.success | number),
        queued_high: (.queued_high | number), queued_normal: (.queued_normal | number),
        queued_low: (.queued_low | number), preemptions: (.preemptions | number),
        effective_price: .effective_price, utilization: .utilization
      }
end
