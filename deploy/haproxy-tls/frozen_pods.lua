-- Cuts the streams of a pod that is frozen, so that their readers go on elsewhere.
--
-- HAProxy's own `on-marked-down shutdown-sessions` would do that as well, but it also kills the
-- very request that finds a dead pod, instead of sending it to another one. So it is done here,
-- and only where a pod accepted the check and was silent. A dead pod's streams end by themselves.

local PAUSE_MS = 250
local SILENT = { L4TOUT = true, L6TOUT = true, L7TOUT = true }

core.register_task(function()
  while true do
    for _, server in pairs(core.backends["workers"].servers) do
      local stats = server:get_stats()
      if stats["status"] == "DOWN" and SILENT[stats["check_status"]] then
        server:shut_sess()
      end
    end
    core.msleep(PAUSE_MS)
  end
end)
