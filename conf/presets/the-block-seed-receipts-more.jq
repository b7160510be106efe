# Params of the second receipt.audit of a poll: made only when none of the receipts delivered last is
# among the newest ones, so that there are more new ones than these.

(.state.ids // (if .last == null then [] else [.last.id] end)) as $known
| .results.recent?
| if type == "object" and (.receipts | type) == "array" then .receipts else [] end
| [.[] | select(type == "object") | .id] as $ids
| if ($known | length) == 0 or ($ids | length) < 50 or any($ids[]; . as $id | any($known[]; . == $id))
  then empty
  else { limit: 3000 }
  end
