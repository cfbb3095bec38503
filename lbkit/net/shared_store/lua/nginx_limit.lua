-- State: excess in thousandths of a request, and the millisecond in which it was counted.
rules.nginx_limit = function(key, now, cost, rate, burst, delay)
  rate = math.floor(rate * 1000)
  local highest, clock = burst * 1000, math.floor((now + TOLERANCE) * 1000)
  local before, since = load(key)
  local old = before and before - math.floor(rate * math.max(0, clock - since) / 1000) or -1000
  local excess = math.max(0, old + math.floor(cost * 1000))
  if excess > highest then
    -- The first millisecond in which enough has leaked.
    local leaked = (before or -1000) + math.floor(cost * 1000) - highest
    local retry = ((since or clock) + math.ceil(leaked * 1000 / rate)) / 1000 - now
    return false, burst + 1, math.max(0, (highest - old) / 1000), retry, math.max(0, old + 1000) / rate, 0
  end
  local over = (excess + 1000) / rate
  local wait = math.max(0, excess - delay * 1000) / rate
  return true, burst + 1, (highest - excess) / 1000, 0, over, wait, function() save(key, over, excess, clock) end
end
