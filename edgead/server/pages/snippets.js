// The calls of this page as a program would make them.

const PYTHON = (endpoint, changes) => `# pip install azure-ai-anomalydetector==3.0.0b6
import json
import os

from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.core.credentials import AzureKeyCredential

client = AnomalyDetectorClient(
    ${JSON.stringify(endpoint)}, AzureKeyCredential(os.environ.get("EDGEAD_KEY", ""))
)
with open("request.json") as file:
    request = json.load(file)

answer = client.detect_univariate_entire_series(request)
for point, anomaly, expected in zip(request["series"], answer.is_anomaly, answer.expected_values):
    if anomaly:
        print(point.get("timestamp"), point["value"], "expected", expected)
${!changes ? "" : `
answer = client.detect_univariate_change_point(request)
for point, change in zip(request["series"], answer.is_change_point):
    if change:
        print(point.get("timestamp"), "change point")
`}`;

const CURL = (endpoint, changes) => `curl --fail-with-body --silent --show-error \\
  --header "Ocp-Apim-Subscription-Key: \${EDGEAD_KEY:-}" \\
  --header "Content-Type: application/json" \\
  --data @request.json \\
  ${endpoint}/anomalydetector/v1.1/timeseries/entire/detect
${!changes ? "" : `
curl --fail-with-body --silent --show-error \\
  --header "Ocp-Apim-Subscription-Key: \${EDGEAD_KEY:-}" \\
  --header "Content-Type: application/json" \\
  --data @request.json \\
  ${endpoint}/anomalydetector/v1.1/timeseries/changepoint/detect
`}`;

/** Text of the Python or curl calls; `changes` = change points are asked for as well. */
export function snippet(language, endpoint, changes) {
  const shown = endpoint.replace(/\/+$/, "");
  return (language === "python" ? PYTHON : CURL)(shown, changes).trimEnd();
}
