-- Serves a certificate that was renewed without a reload: connections stay, new ones get the new one.
--
-- haproxy.cfg says in TLS_FOLDER where the files are, and in TLS_ADDRESS and TLS_PORT where they are
-- served. (Arguments of a script came with HAProxy 2.8.) The folder holds tls.crt, the certificate and those that sign it, and tls.key. Files that have
-- changed are taken when two looks found the same, so that no half of a renewal is. HAProxy takes
-- a key that belongs to another certificate, and then every handshake fails; so each change is
-- tried at once, and what does not work is put back. It is tried again after a minute, then after
-- twice as long each time: it may be good, and the moment was bad. `/certificate` of the port for watchers tells
-- until when the certificate is good, and whether newer files were refused.

local folder = os.getenv("TLS_FOLDER")
local address, port = os.getenv("TLS_ADDRESS"), tonumber(os.getenv("TLS_PORT"))
local CERTIFICATE, KEY = folder .. "/tls.crt", folder .. "/tls.key"
local PAUSE_MS = 5000
local TRY_S = 5
-- Not often for ever: while a key of another certificate is tried nobody comes in.
local AGAIN_S, AGAIN_MAX_S = tonumber(os.getenv("TLS_AGAIN_S") or "60"), 3600
local DAY_S = 86400
local WARN_DAYS = 14
local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local not_after_s, refused = 0, 0

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

-- The key may stand in the file of the certificate.
local function pem()
  local certificate = read(CERTIFICATE)
  return certificate and certificate .. "\n" .. (read(KEY) or "")
end

local function decoded(text)
  local bits, size, bytes = 0, 0, {}
  for letter in text:gmatch("[%w+/]") do
    bits = ((bits << 6) | (BASE64:find(letter, 1, true) - 1)) & 0xffffff
    size = size + 6
    if size >= 8 then
      size = size - 8
      bytes[#bytes + 1] = string.char((bits >> size) & 0xff)
    end
  end
  return table.concat(bytes)
end

-- Returns tag, first byte and end of the contents of the DER value at `at`.
local function value(der, at)
  local tag, length, first = der:byte(at), der:byte(at + 1), at + 2
  if length >= 0x80 then
    local more = length & 0x7f
    length = 0
    for index = first, first + more - 1 do
      length = length << 8 | der:byte(index)
    end
    first = first + more
  end
  return tag, first, first + length
end

local function days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local era_days = 365 * year + year // 4 - year // 100 + year // 400
  return era_days + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

-- Returns seconds since 1970 until which the first certificate of a PEM text is good.
local function good_until(text)
  local der = decoded(text:match("%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-(.-)%-%-%-%-%-END"))
  local _, at = value(der, 1)
  _, at = value(der, at)
  local tag, _, behind = value(der, at)
  if tag == 0xa0 then -- the version
    at = behind
  end
  for _ = 1, 3 do -- serial number, algorithm, who signed it
    _, _, at = value(der, at)
  end
  _, at = value(der, at)
  _, _, at = value(der, at) -- since when it is good
  local kind, first, last = value(der, at)
  local time = der:sub(first, last - 1)
  if kind == 0x17 then -- two digits of the year: from 1950 on
    time = (tonumber(time:sub(1, 2)) < 50 and "20" or "19") .. time
  end
  local year, month, day, hour, minute, second = time:match("^(%d%d%d%d)" .. ("(%d%d)"):rep(5))
  local seconds = hour * 3600 + minute * 60 + second
  return math.tointeger(days(year + 0, month + 0, day + 0) * DAY_S + seconds)
end

local function say(event, rest)
  core.Alert(string.format('{"event":"%s","file":"%s"%s}', event, CERTIFICATE, rest or ""))
end

local function took(text)
  local known, seconds = pcall(good_until, text)
  not_after_s = known and seconds or 0
end

local function warn()
  local left_days = (not_after_s - os.time()) // DAY_S
  if not_after_s > 0 and left_days < WARN_DAYS then
    local event = left_days < 0 and "certificate_expired" or "certificate_expires"
    say(event, string.format(',"days":%d', left_days))
  end
end

local function handshake_works()
  local connection = core.tcp()
  connection:settimeout(TRY_S)
  local connected = connection:connect_ssl(address, port)
  connection:close()
  return connected ~= nil
end

local function served(text)
  return (pcall(CertCache.set, { filename = CERTIFICATE, crt = text }))
end

-- Returns what is served now.
local function renewed(before, text)
  if served(text) and handshake_works() then
    refused = 0
    took(text)
    say("certificate_renewed")
    warn()
    return text
  end
  served(before)
  refused = 1
  say("certificate_refused", ',"hint":"tls.crt and tls.key must be PEM and belong together"')
  return before
end

local at_start = pem()
if at_start then
  took(at_start)
end

core.register_task(function()
  local serving, seen, refused_text = at_start, at_start, nil
  local pause_s, again_s = AGAIN_S, 0
  local warned_s = 0
  while true do
    if os.time() - warned_s > DAY_S then
      warned_s = os.time()
      warn()
    end
    local found = pem()
    if found ~= refused_text then
      pause_s, again_s = AGAIN_S, 0
    end
    if found and found == seen and found ~= serving and os.time() >= again_s then
      serving = renewed(serving, found)
      refused_text = serving ~= found and found or nil
      again_s, pause_s = os.time() + pause_s, math.min(2 * pause_s, AGAIN_MAX_S)
    elseif found == serving then
      refused, refused_text = 0, nil
    end
    seen = found
    core.msleep(PAUSE_MS)
  end
end)

core.register_service("certificate", "http", function(applet)
  local lines = {
    "# HELP kotaemon_balancer_certificate_not_after_seconds Until when the certificate is good, in seconds since 1970.",
    "# TYPE kotaemon_balancer_certificate_not_after_seconds gauge",
    "kotaemon_balancer_certificate_not_after_seconds " .. not_after_s,
    "# HELP kotaemon_balancer_certificate_refused Whether newer files lie there that cannot be served.",
    "# TYPE kotaemon_balancer_certificate_refused gauge",
    "kotaemon_balancer_certificate_refused " .. refused,
    "",
  }
  local text = table.concat(lines, "\n")
  applet:set_status(200)
  applet:add_header("content-type", "text/plain; version=0.0.4")
  applet:add_header("content-length", tostring(#text))
  applet:start_response()
  applet:send(text)
end)
