-- Keeps slots in which no pod is expected out of use until their first good check.
--
-- HAProxy takes a server to be up until a check fails. Right after a start, a request could meet
-- one empty slot after the other until its tries are used up. haproxy.cfg therefore gives such
-- slots the weight 0, so that there is not even a moment before this runs; here they are marked
-- down and get the weight of the others back. The first good check then brings a slot up, at the
-- same place on the hash ring. (HAProxy 3.1 has `init-state down` for this.)

-- As in haproxy.cfg: a server has so many places on the hash ring.
local WEIGHT = "64"

core.register_task(function()
  for _, server in pairs(core.backends["workers"].servers) do
    if server:get_weight() == 0 then
      server:check_force_down()
      server:set_weight(WEIGHT)
    end
  end
end)
