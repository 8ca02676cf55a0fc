// Follows a transcript to its end with the official client of the Durable Streams protocol: one line for each event.
const { stream } = await import(process.env.CLIENT)

const response = await stream({
  url: process.env.URL,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  offset: '-1',
  live: process.env.LIVE,
  json: true,
})
response.subscribeJson(async (batch) => {
  for (const event of batch.items) console.log(JSON.stringify(event))
})
await response.closed
