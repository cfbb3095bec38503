-- State: tokens, and when there were that many.
rules.token_bucket = function(key, now, cost, rate, burst)
  local tokens, since = load(key)
  tokens = math.min(burst, (tokens or burst) + math.max(0, now - (since or now)) * rate)
  local left = tokens - cost
  if left < -TINY - TOLERANCE * rate then
    return false, burst, tokens, -left / rate, (burst - tokens) / rate, 0
  end
  local full = (burst - left) / rate
  return true, burst, left, 0, full, 0, function() save(key, full, left, now) end
end
