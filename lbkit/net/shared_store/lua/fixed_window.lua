-- State: the end of the window, and the count.
rules.fixed_window = function(key, now, cost, limit, window)
  local function end_of(time)
    local number = math.floor(time / window) + 1
    return number * window > time and number * window or (number + 1) * window
  end
  local ends, used = load(key)
  if not ends or now >= ends then
    ends, used = end_of(now), 0
  elseif used + cost > limit + TINY and ends - now <= TOLERANCE then -- an early one of the next window
    ends, used = end_of(now + 2 * TOLERANCE), 0
  end
  local rest = ends - now
  if used + cost > limit + TINY then
    return false, limit, limit - used, rest, rest, 0
  end
  used = used + cost
  return true, limit, limit - used, 0, rest, 0, function() save(key, rest, ends, used) end
end
