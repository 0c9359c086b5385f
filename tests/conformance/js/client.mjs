// Everything a program does with the client, against the server and key of the environment; the outcome as JSON.
// The input (series and variables) comes on stdin.

import library from "@azure-rest/ai-anomaly-detector"; // a CommonJS package
import { readFileSync } from "node:fs";

const { default: AnomalyDetector, isUnexpected, paginate } = library;

const { ENDPOINT, KEY } = process.env;
const { series, variables, source, start, end, from } = JSON.parse(readFileSync(0, "utf8"));
const options = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
const client = AnomalyDetector(ENDPOINT, { key: KEY }, options);
const told = {};

async function univariate(name, path, body) {
  const answer = await client.path(path).post({ body });
  if (isUnexpected(answer)) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  told[name] = answer.body;
}

const body = { series, granularity: "daily", sensitivity: 95, maxAnomalyRatio: 0.25 };
await univariate("entire", "/timeseries/entire/detect", body);
await univariate("last", "/timeseries/last/detect", body);
await univariate("changepoint", "/timeseries/changepoint/detect", { series, granularity: "daily", threshold: 0.9 });

// errors, as a program sees them
const outcome = (answer) => ({
  status: answer.status,
  unexpected: isUnexpected(answer),
  code: answer.body?.code ?? answer.body?.error?.code,
  header: answer.headers["x-ms-error-code"],
});
const unsorted = [...series].reverse();
const stranger = AnomalyDetector(ENDPOINT, { key: "wrong" }, options);
const nobody = "00000000-0000-0000-0000-000000000000";
told.errors = {
  unsorted: outcome(await client.path("/timeseries/entire/detect").post({ body: { series: unsorted, granularity: "daily" } })),
  granularity: outcome(await client.path("/timeseries/last/detect").post({ body: { series, granularity: "often" } })),
  key: outcome(await stranger.path("/timeseries/entire/detect").post({ body })),
  model: outcome(await client.path("/multivariate/models/{modelId}", nobody).get()),
  result: outcome(await client.path("/multivariate/detect-batch/{resultId}", nobody).get()),
  window: outcome(await client.path("/multivariate/models").post({
    body: { dataSource: source, startTime: start, endTime: end, slidingWindow: 5 },
  })),
};

// a model: train, poll, list, detect, delete
async function finished(ask, status) {
  for (;;) {
    const answer = await ask();
    if (isUnexpected(answer)) throw new Error(JSON.stringify(answer.body));
    if (["READY", "FAILED"].includes(status(answer.body))) return answer.body;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const trained = await client.path("/multivariate/models").post({
  body: {
    dataSource: source, dataSchema: "OneTable", startTime: start, endTime: end, slidingWindow: 28, displayName: "from node",
    alignPolicy: { alignMode: "Outer", fillNAMethod: "Linear" },
  },
});
if (isUnexpected(trained)) throw new Error(JSON.stringify(trained.body));
const { modelId } = trained.body;
told.trained = { status: trained.status, location: trained.headers.location, created: trained.body.modelInfo.status };
const model = await finished(() => client.path("/multivariate/models/{modelId}", modelId).get(), (one) => one.modelInfo.status);
told.model = model;

told.listed = [];
const first = await client.path("/multivariate/models").get({ queryParameters: { skip: 0, top: 10 } });
if (isUnexpected(first)) throw new Error(JSON.stringify(first.body));
for await (const one of paginate(client, first)) told.listed.push(one.modelId);

const batch = await client.path("/multivariate/models/{modelId}:detect-batch", modelId).post({
  body: { dataSource: source, topContributorCount: 2, startTime: from, endTime: end },
});
if (isUnexpected(batch)) throw new Error(JSON.stringify(batch.body));
told.batch = { status: batch.status, operation: batch.headers["operation-id"], location: batch.headers["operation-location"] };
told.result = await finished(
  () => client.path("/multivariate/detect-batch/{resultId}", batch.body.resultId).get(), (one) => one.summary.status);

const last = await client.path("/multivariate/models/{modelId}:detect-last", modelId).post({ body: { variables, topContributorCount: 2 } });
if (isUnexpected(last)) throw new Error(JSON.stringify(last.body));
told.lastRow = last.body;

const deleted = await client.path("/multivariate/models/{modelId}", modelId).delete();
told.deleted = { status: deleted.status, gone: outcome(await client.path("/multivariate/models/{modelId}", modelId).get()) };

console.log(JSON.stringify(told));
