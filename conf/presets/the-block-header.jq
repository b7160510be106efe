# Params of light.latest_header: on an empty chain this call stops the node from ever making a block, so it
# is made only when light.headers told one.

if (.results.first? | type) == "array" and (.results.first | length) > 0 then {} else empty end
