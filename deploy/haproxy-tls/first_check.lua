-- Keeps slots in which no pod is expected out of use until their first good check.
--
-- HAProxy takes a server to be up until a check fails: right after a start, and again whenever its
-- name finds an address after it had none. A request could meet one slot without a pod after the
-- other until its tries are used up. Slots without a pod therefore have the weight 0: haproxy.cfg
-- gives it to those where none is expected at the start, so that there is not even a moment before
-- this runs, and this gives it to those without an address. A slot of weight 0 that has an address
-- is marked down and gets the weight of the others back: the first good check then brings it up,
-- at the same place on the hash ring. (HAProxy 3.1 has `init-state down` for this.)

-- As in haproxy.cfg: a server has so many places on the hash ring.
local WEIGHT = "64"
local PAUSE_MS = 100

local function has_no_address(server)
  return string.find(server:get_stats()["status"], "MAINT", 1, true) == 1
end

core.register_task(function()
  while true do
    for _, server in pairs(core.backends["workers"].servers) do
      if server:get_weight() == 0 then
        if not has_no_address(server) then
          server:check_force_down()
          server:set_weight(WEIGHT)
        end
      elseif has_no_address(server) then
        server:set_weight("0")
      end
    end
    core.msleep(PAUSE_MS)
  end
end)
