"use strict";

async function publish(topic, message) {
  const response = await fetch(`http://queue.internal/topics/${topic}`, {
    method: "POST",
    body: JSON.stringify(message),
  });
  if (!response.ok) throw new Error(`fetch: ${response.status}`);
}

async function consume(topic, handle) {
  for (;;) {
    const batch = await (await global.fetch(`http://queue.internal/topics/${topic}?wait=30`)).json();
    for (const message of batch) await handle(message);
  }
}

module.exports = { publish, consume };
