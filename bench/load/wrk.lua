-- Sends one fixed request and prints the figures of a run as one line of JSON.
-- Arguments: method, body size in bytes, host, "keep-alive" or "close".

function init(args)
  wrk.method = args[1]
  if tonumber(args[2]) > 0 then wrk.body = string.rep("x", tonumber(args[2])) end
  wrk.headers["Host"] = args[3]
  if args[4] == "close" then wrk.headers["Connection"] = "close" end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"bytes":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"p999Us":%d,"connectErrors":%d,"readErrors":%d,"writeErrors":%d,"timeouts":%d,"badStatus":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
