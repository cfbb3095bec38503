-- State: the level, and when it was that.
rules.leaky_bucket = function(key, now, cost, rate, capacity)
  local level, since = load(key)
  level = math.max(0, (level or 0) - math.max(0, now - (since or now)) * rate)
  local after = level + cost
  if after > capacity + TINY + TOLERANCE * rate then
    return false, capacity, capacity - level, (after - capacity) / rate, level / rate, 0
  end
  return true, capacity, capacity - after, 0, after / rate, 0, function() save(key, after / rate, after, now) end
end
