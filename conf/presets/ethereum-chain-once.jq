# Params of the calls whose answer hardly ever changes: asked once a minute.

if .previous == null or .time - (.state.asked? // 0) >= 60 then [] else empty end
