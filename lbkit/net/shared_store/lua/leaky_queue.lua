-- State: seconds until the queue is empty, and since when.
rules.leaky_queue = function(key, now, cost, rate, capacity)
  local ahead, since = load(key)
  local wait = math.max(0, (ahead or 0) - (now - (since or now)))
  local queue = wait + cost / rate
  if queue > capacity / rate + TOLERANCE then
    return false, capacity, capacity - wait * rate, queue - capacity / rate, wait, 0
  end
  return true, capacity, capacity - queue * rate, 0, queue, wait, function() save(key, queue, queue, now) end
end
