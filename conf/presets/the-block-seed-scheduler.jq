# scheduler of a node with the design document's methods. Call: stats (scheduler.stats).

if (.results.stats? | type) != "object"
then error("no scheduler figures: " + (.errors.stats?.message // "a reply of another type"))
else .results.stats | { pending_operations, avg_wait_time_ms, ops_per_block, ops_per_second }
end
