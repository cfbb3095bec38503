-- KEYS: the key of each limit, and that of the clock. ARGV: the time, or "" for this server's clock; then for each
-- limit its kind, the cost, how many numbers make its options, and those. All admit the request, or none is used up.
--
-- A rule gets key, now, cost and its options, and returns whether it admits, then: limit, remaining, retry_after,
-- reset_after, delay (seconds), and a function that writes the key's state after it.

local TINY = 1e-9 -- sums of costs may fall short by their last digits
local TOLERANCE = 1e-6 -- seconds by which a request may be early: doubles of the seconds since 1970 are that coarse
local rules = {}

local function load(key)
  local numbers = {}
  for word in string.gmatch(redis.call('GET', key) or '', '%S+') do
    numbers[#numbers + 1] = tonumber(word)
  end
  return unpack(numbers)
end

local function text(...)
  local words = {}
  for i, number in ipairs({ ... }) do
    words[i] = string.format('%.17g', number)
  end
  return table.concat(words, ' ')
end

-- If this machine's clock is set back, time goes on from where it was. That is noted once a second.
local function monotonic(now)
  local clock = KEYS[#KEYS]
  local latest, shift = load(clock)
  latest, shift = latest or now, shift or 0
  now = now + shift
  if now < latest then
    shift, now = shift + latest - now, latest
  elseif now < latest + 1 and redis.call('EXISTS', clock) == 1 then
    return now
  end
  redis.call('SET', clock, text(now, shift))
  return now
end

-- A state that is over is as good as none, so Redis may forget it then.
local function save(key, seconds, ...)
  redis.call('SET', key, text(...), 'PX', math.ceil(seconds * 1000) + 1)
end
