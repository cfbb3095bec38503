-- State: a list with a moment, its cost and the sum of all costs up to it for each request; oldest first.
rules.sliding_log = function(key, now, cost, limit, window)
  local function entry(i)
    local words = {}
    for word in string.gmatch(redis.call('LINDEX', key, i) or '', '%S+') do
      words[#words + 1] = tonumber(word)
    end
    return unpack(words)
  end
  local moment, own, sum = entry(0)
  while moment and moment <= now - window + TOLERANCE do -- what is over does not count any more
    redis.call('LPOP', key)
    moment, own, sum = entry(0)
  end
  local gone = moment and sum - own or 0
  local last, _, total = entry(-1)
  local left = limit - ((total or 0) - gone)
  if cost > left + TINY then
    local i = 0
    while sum - gone < cost - left - TINY do -- the first that makes room enough when it expires
      i = i + 1
      moment, own, sum = entry(i)
    end
    return false, limit, left, moment + window - now, last + window - now, 0
  end
  return true, limit, left - cost, 0, window, 0, function()
    if cost > 0 then
      redis.call('RPUSH', key, text(now, cost, (total or 0) + cost))
      redis.call('PEXPIRE', key, math.ceil(window * 1000) + 1)
    end
  end
end
