# Params of blockchain, which tells 20 blocks at most: windows from the block after the newest one delivered on.

def at(f): [f?][0];

# The node writes most integers as strings.
def number:
    if type == "number" then .
    elif type == "string" and length > 0 and length < 16 and all(explode[]; . > 47 and . < 58) then tonumber
    else null end;
def time: if type == "string" and length > 18 then .[:19] + "Z" | (try fromdate catch null) else null end;

(at(.results.status.sync_info) | [at(.latest_block_height), at(.earliest_block_height)] | map(number)) as [$newest, $oldest]
| (.state.number? // .last.number?) as $known
| if $newest == null or $newest < 1 then empty
  elif ($known | type) != "number" or $known > $newest then { minHeight: "\($newest)", maxHeight: "\($newest)" }
  else
    ([(if $newest - $known > 10000 then $newest - 1000 else $known end), ($oldest // 1) - 1] | max) as $from
    | range($from + 1; $newest + 1; 20)
    | { minHeight: "\(.)", maxHeight: "\([. + 19, $newest] | min)" }
  end
