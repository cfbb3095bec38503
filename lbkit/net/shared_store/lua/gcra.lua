-- State: seconds until the next request would be on time, and since when. Their sum, the theoretical arrival time, would
-- lose a tenth of a microsecond at each addition.
rules.gcra = function(key, now, cost, rate, burst)
  local window = burst / rate
  local ahead, since = load(key)
  local used = math.max(0, (ahead or 0) - (now - (since or now)))
  local after = used + cost / rate
  if after > window + TOLERANCE then
    return false, burst, (window - used) * rate, after - window, used, 0
  end
  return true, burst, (window - after) * rate, 0, after, 0, function() save(key, after, after, now) end
end
