// A server that hangs must end in failures, not hold everything up.
export default {
  test: { include: ["core.test.mjs"], testTimeout: 60_000, hookTimeout: 60_000, retry: 0 },
}
