-- State: the end of the window, the count of the one before, the count.
rules.sliding_counter = function(key, now, cost, limit, window)
  local ends, before, count = load(key)
  if not ends or now >= ends - TOLERANCE then
    local number = math.floor((now + TOLERANCE) / window) + 1
    local later = number * window > now + TOLERANCE and number * window or (number + 1) * window
    local next = ends and ends > later - 1.5 * window
    ends, before, count = later, next and count or 0, 0
  end
  local rest = ends - now
  local after = count + cost
  local left = limit - before * rest / window - after
  if left + before * TOLERANCE / window < -TINY then
    local room = limit - after
    local wait
    if room >= 0 and before > 0 then
      wait = rest - room / before * window
    else -- only in the next window, where `count` is the older one
      wait = rest + (count > 0 and math.max(0, 1 - (limit - cost) / count) or 0) * window
    end
    return false, limit, left + cost, math.max(0, wait), count > 0 and rest + window or rest, 0
  end
  return true, limit, left, 0, rest + window, 0, function() save(key, rest + window, ends, before, after) end
end
