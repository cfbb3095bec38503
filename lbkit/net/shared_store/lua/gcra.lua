-- State: when the next request would be on time.
rules.gcra = function(key, now, cost, rate, burst)
  local window = burst / rate
  local used = math.max(0, (load(key) or now) - now)
  local after = used + cost / rate
  if after > window + TINY then
    return false, burst, (window - used) * rate, after - window, used, 0
  end
  return true, burst, (window - after) * rate, 0, after, 0, function() save(key, after, now + after) end
end
