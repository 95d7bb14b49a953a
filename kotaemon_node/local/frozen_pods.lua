-- Cuts the streams of a pod that is frozen, so that their readers go on elsewhere.
--
-- HAProxy's own `on-marked-down shutdown-sessions` would do that as well, but it also kills the
-- very request that finds a dead pod, instead of sending it to another one. So it is done here,
-- and only where a pod accepted the check and was silent. A dead pod's streams end by themselves.
--
-- Where more pods are silent than answer, it is the machine or the load that is too much for them,
-- and thousands of readers who come back at once to the few that are left would silence those, too.
-- So they have longer then, and as long as they need where nobody answers at all.

local PAUSE_MS = 250
local MOST_SILENT_S = 10
-- What the last check found; "* " before it says that another one is under way.
local SILENT = { L4TOUT = true, L6TOUT = true, L7TOUT = true }

core.register_task(function()
  while true do
    local frozen, silent, answering = {}, 0, 0
    for _, server in pairs(core.backends["workers"].servers) do
      local stats = server:get_stats()
      if stats["status"] == "UP" then
        answering = answering + 1
      elseif SILENT[string.gsub(stats["check_status"], "^%* ", "")] then -- "UP 1/2" has begun to be silent
        silent = silent + 1
        if stats["status"] == "DOWN" then
          frozen[#frozen + 1] = { server = server, down_s = tonumber(stats["lastchg"]) or 0 }
        end
      end
    end
    for _, one in ipairs(frozen) do
      if silent <= answering or (answering > 0 and one.down_s >= MOST_SILENT_S) then
        one.server:shut_sess()
      end
    end
    core.msleep(PAUSE_MS)
  end
end)
