// Uses a server as a program with the openai package of npm does. clients_test.go runs it.
//
//     node client.mjs URL URL_WITH_KEYS KEY
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const [url, keyedURL, key] = process.argv.slice(2);
const clientOf = (base, apiKey) => new OpenAI({ baseURL: base + "/v1", apiKey, maxRetries: 0 });
const client = clientOf(url, "none");
const user = (text, picture = "kit:held-out/17") => [
  { role: "user", content: [{ type: "image_url", image_url: { url: picture } }, ...(text ? [{ type: "text", text }] : [])] },
];
const create = (options = {}) => client.chat.completions.create({ model: "warm", messages: user(), ...options });
const caption = "two umbrellas on a yellow background";

test("models", async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.deepEqual(ids, ["warm"]);
});

test("caption and question", async () => {
  const answer = await create();
  assert.equal(answer.choices[0].message.content, caption);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.match((await create({ messages: user("what color is the background?") })).choices[0].message.content, /yellow/);
});

test("stream", async () => {
  let text = "", chunks = 0, usage;
  for await (const chunk of await create({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
    chunks++;
  }
  assert.equal(text, caption);
  assert.ok(chunks > 5);
  assert.deepEqual(usage, (await create()).usage);
});

test("stream helper", async () => {
  const runner = client.chat.completions.stream({ model: "warm", messages: user() });
  assert.equal(await runner.finalContent(), caption);
});

test("leaving a stream", async () => {
  const stream = await create({ stream: true, max_tokens: 60, min_tokens: 60 });
  for await (const _ of stream) break;
  assert.equal((await create()).choices[0].message.content, caption);
});

test("stop, length and n", async () => {
  const stopped = (await create({ stop: " on" })).choices[0];
  assert.deepEqual([stopped.message.content, stopped.finish_reason], ["two umbrellas", "stop"]);
  const short = await create({ max_completion_tokens: 2 });
  assert.deepEqual([short.choices[0].finish_reason, short.usage.completion_tokens], ["length", 2]);
  const sampled = () => create({ n: 6, temperature: 2, seed: 3, top_k: 0 });
  const texts = (await sampled()).choices.map((c) => c.message.content);
  assert.equal(texts.length, 6);
  assert.ok(new Set(texts).size > 1);
  assert.deepEqual((await sampled()).choices.map((c) => c.message.content), texts);
});

test("log-probabilities", async () => {
  const { logprobs } = (await create({ logprobs: true, top_logprobs: 3 })).choices[0];
  for (const token of logprobs.content) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    assert.equal(token.top_logprobs[0].logprob, token.logprob);
  }
});

test("errors", async () => {
  await assert.rejects(create({ model: "nothing" }), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
  await assert.rejects(create({ max_tokens: 100000 }), (e) => e instanceof OpenAI.BadRequestError && e.param === "max_tokens");
  await assert.rejects(create({ tools: [{ type: "function", function: { name: "f" } }] }), (e) => e instanceof OpenAI.BadRequestError && e.param === "tools");
  await assert.rejects(clientOf(keyedURL, "none").models.list(), (e) => e instanceof OpenAI.AuthenticationError);
  assert.equal((await clientOf(keyedURL, key).models.list()).data[0].id, "warm");
});
