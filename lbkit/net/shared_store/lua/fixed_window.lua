-- State: when the window ends, and the count.
rules.fixed_window = function(key, now, cost, limit, window)
  local ends, used = load(key)
  if not ends or now >= ends then
    ends, used = (math.floor(now / window) + 1) * window, 0
  end
  local rest = ends - now
  if used + cost > limit + TINY then
    return false, limit, limit - used, rest, rest, 0
  end
  used = used + cost
  return true, limit, limit - used, 0, rest, 0, function() save(key, rest, ends, used) end
end
