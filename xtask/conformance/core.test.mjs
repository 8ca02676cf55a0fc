// The suite's own tests, against the server at STREAMS_URL; subscriptions are not offered yet.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.STREAMS_URL, subscriptions: false })
