# Params of the calls whose answer hardly ever changes: asked every 10 seconds, and at once when the
# node may be another one: the newest block is not one that follows the one before, or the node was away.

include "presets/chain-lib";

(.results.block? | if type == "object" then . else {} end) as $block
| ($block.number | hex) as $n
| .state as $was
| if .previous == null or .time - ($was.asked? // 0) >= 10 or .time - ($was.time? // 0) > 7
     or ($n != null and $was.number? != null
         and ($n < $was.number
              or ($n == $was.number and ($block.hash | short) != $was.hash)
              or ($n == $was.number + 1 and ($block.parentHash | short) != $was.hash)))
  then [] else empty end
