-- Gives each request a unique id.
local threads = 0
function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

local sent = 0
function request()
    sent = sent + 1
    local id, tenant = number .. "-" .. sent, "tenant-" .. sent % 10
    return wrk.format("GET", "/", { ["x-request-id"] = id, ["x-tenant"] = tenant })
end

-- Prints the number of requests, the seconds, the 50th and 99th percentile in milliseconds, and the number of errors.
function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    print(string.format("result %d %f %f %f %d", summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, bad))
end
