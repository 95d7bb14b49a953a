// The official JavaScript SDK against a cluster: node openai_sdk.mjs BASE_URL MODEL QUESTION.
// Prints one JSON object of what it got; whoever runs it judges.
import OpenAI from "openai";

const [baseURL, model, question] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 2 });
const messages = [{ role: "user", content: question }];

const whole = await client.chat.completions.create({ model, messages });
let text = "";
let sources = [];
let last = null;
const stream = await client.chat.completions.create({
  model,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  const delta = chunk.choices[0]?.delta;
  text += delta?.content ?? "";
  sources = delta?.sources ?? sources;
  last = chunk;
}
const models = [];
for await (const one of client.models.list()) models.push(one.id);
const embedder = models.find((id) => !id.startsWith("kotaemon"));
const vectors = await client.embeddings.create({ model: embedder, input: [question, "x"] });
let refused = null;
try {
  await client.chat.completions.create({ model: "none", messages });
} catch (error) {
  refused = { name: error.constructor.name, status: error.status, code: error.code };
}
const helped = await client.chat.completions.stream({ model, messages }).finalContent();
console.log(
  JSON.stringify({
    whole: whole.choices[0].message.content,
    same: whole.id === stream.id || whole.id === last.id,
    text,
    helped,
    sources: sources.length,
    usage: last.usage,
    models,
    dimension: vectors.data[0].embedding.length,
    refused,
  }),
);
