local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
now = monotonic(now)

local answers, writes, all, at = {}, {}, true, 2
for i = 1, #KEYS - 1 do
  local kind, cost, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local options = {}
  for j = 1, count do
    options[j] = tonumber(ARGV[at + 2 + j])
  end
  at = at + 3 + count
  local admits, limit, remaining, retry, reset, delay, write = rules[kind](KEYS[i], now, cost, unpack(options))
  all = all and admits
  writes[i] = write
  answers[i] = text(admits and 1 or 0, limit, remaining, retry, reset, delay)
end
if all then
  for _, write in ipairs(writes) do
    write()
  end
end
return answers
