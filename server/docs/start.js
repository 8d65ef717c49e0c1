// The examples with a request id, in the order of the document. Filled once the document is loaded.
let examples = [];
// The request id that was last sent, by the request id of the example that it replaces.
const sent = {};

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // The badge of swagger.io's validator would send it this gateway's address.
  validatorUrl: null,
  onComplete: () => {
    const operations = Object.values(ui.specSelectors.specJson().toJS().paths).flatMap(Object.values);
    examples = operations
      .flatMap((operation) => Object.values(operation.requestBody?.content["application/json"].examples ?? {}))
      .map((example) => example.value)
      .filter((value) => value.requestId);
  },
  requestInterceptor: (request) => {
    request.body = withFreshID(request.body);
    return request;
  },
});

// withFreshID gives an example's order a new request id. With the example's id, the second press of Execute would
// only show the answer of the first. An id that a person typed is not changed.
function withFreshID(body) {
  let order;
  try {
    order = JSON.parse(body);
  } catch {
    return body; // no body, or no JSON: the gateway refuses it
  }
  const sameID = examples.filter((example) => example.requestId === order?.requestId);
  if (sameID.length === 0) {
    return body;
  }
  const id = order.requestId;
  // An example that shows a request id being reused needs the id that was sent before it.
  const reuses = sameID.slice(1).some((example) => JSON.stringify(example) === JSON.stringify(order));
  if (!reuses || !sent[id]) {
    sent[id] = id + "-" + crypto.getRandomValues(new Uint32Array(2)).join("");
  }
  return body.replace(/("requestId"\s*:\s*)"[^"]*"/, (_, name) => name + JSON.stringify(sent[id]));
}
