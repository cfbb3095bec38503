-- State: excess in thousandths of a request, and the millisecond it was counted in.
rules.nginx_limit = function(key, now, cost, rate, burst, delay)
  rate = math.floor(rate * 1000)
  local most, clock = burst * 1000, math.floor(now * 1000)
  local before, since = load(key)
  local old = before and before - math.floor(rate * math.max(0, clock - since) / 1000) or -1000
  local excess = math.max(0, old + math.floor(cost * 1000))
  if excess > most then
    return false, burst + 1, math.max(0, (most - old) / 1000), (excess - most) / rate, math.max(0, old + 1000) / rate, 0
  end
  local over = (excess + 1000) / rate
  local wait = math.max(0, excess - delay * 1000) / rate
  return true, burst + 1, (most - excess) / 1000, 0, over, wait, function() save(key, over, excess, clock) end
end
