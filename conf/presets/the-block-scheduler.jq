# scheduler of the real node. Call: stats (compute_market.scheduler_stats; a node without it is asked
# for the design document's scheduler.stats, which has the first four figures itself).
#
#   pending_operations                jobs queued, of all three priorities
#   avg_wait_time_ms, ops_per_block,
#   ops_per_second                    the node has no such figure: null
#   active_jobs ... utilization       as the node names them

def number: if type == "number" then . else null end;

(.results.stats? | if type == "object" then . else {} end) as $stats
| ([$stats | .queued_high, .queued_normal, .queued_low | select(type == "number") | tonumber]
   | if length == 0 then null else add end) as $queued
| (if $stats.pending_operations != null
   then $stats | { pending_operations, avg_wait_time_ms, ops_per_block, ops_per_second }
   else
     {
       pending_operations: $queued, avg_wait_time_ms: null, ops_per_block: null, ops_per_second: null
     }
     + ($stats | {
         active_jobs: (.active_jobs | number), success: (.success | number),
         queued_high: (.queued_high | number), queued_normal: (.queued_normal | number),
         queued_low: (.queued_low | number), preemptions: (.preemptions | number),
         effective_price, utilization
       })
   end) as $data
| if [$data[] | select(. != null)] == []
  then error("no scheduler figures: " + (.errors.stats?.message
      // "the node answers \(.results.stats? | tojson | .[:80])"))
  else $data end
