-- State: when the queue is empty again.
rules.leaky_queue = function(key, now, cost, rate, capacity)
  local wait = math.max(0, (load(key) or now) - now)
  local queue = wait + cost / rate
  if queue > capacity / rate + TINY then
    return false, capacity, capacity - wait * rate, queue - capacity / rate, wait, 0
  end
  return true, capacity, capacity - queue * rate, 0, queue, wait, function() save(key, queue, now + queue) end
end
