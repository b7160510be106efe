# scheduler of a node with the design document's methods. Call: stats (scheduler.stats).

(.results.stats? | if type == "object" then . else {} end)
    as { $pending_operations, $avg_wait_time_ms, $ops_per_block, $ops_per_second }
| if [$pending_operations, $avg_wait_time_ms, $ops_per_block, $ops_per_second | select(. != null)] == []
  then error("no scheduler figures: " + (.errors.stats?.message
      // "the node answers \(.results.stats? | tojson | .[:80])"))
  else { $pending_operations, $avg_wait_time_ms, $ops_per_block, $ops_per_second } end
