// Opens the documentation in headless Chromium and makes a call through it.
//
//   node browse.mjs http://127.0.0.1:8080
import assert from "node:assert/strict";
import process from "node:process";
import { chromium } from "playwright-core";

const gateway = new URL(process.argv[2]);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", // CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const elsewhere = [];
  const complaints = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (["http:", "https:", "ws:", "wss:"].includes(url.protocol) && url.host !== gateway.host) {
      elsewhere.push(request.url());
    }
  });
  // Violations of the Content-Security-Policy are reported here too.
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));

  const opened = await page.goto(new URL("/docs/", gateway).href);
  assert.match(opened.headers()["content-security-policy"], /^default-src 'self';/);
  await page.locator(".opblock").first().waitFor();
  const operations = await page.evaluate(async () => {
    const { paths } = await (await fetch("openapi.json")).json();
    return Object.values(paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId));
  });
  for (const operation of operations) {
    await page.locator(`.opblock[id$="-${operation}"]`).waitFor();
  }
  assert.equal(await page.locator(".opblock").count(), operations.length);

  const register = page.locator('.opblock[id$="-register"]');
  await register.locator(".opblock-summary-control").click();
  await register.getByRole("button", { name: "Try it out" }).click();
  await register.getByRole("button", { name: "Execute" }).click();
  const answer = register.locator(".live-responses-table .response");
  await answer.locator(".response-col_status").waitFor();
  const shown = await answer.innerText();
  assert.match(shown, /^200\b/, shown);
  assert.match(shown, /"purchaseId"/);
  assert.match(shown, /x-trace-id: [0-9a-f]{32}/);

  // Each press sends a new order, except with a typed id and with the example that reuses an id.
  const press = async () => {
    const answered = page.waitForResponse((response) => response.url().endsWith("/v1/activations/register"));
    await register.getByRole("button", { name: "Execute" }).click();
    const response = await answered;
    const { requestId } = response.request().postDataJSON();
    await register.locator(".curl-command").getByText(requestId).waitFor(); // the page shows what was sent
    return { status: response.status(), requestId, purchase: (await response.json()).purchaseId };
  };
  const first = JSON.parse(shown.slice(shown.indexOf("{"), shown.lastIndexOf("}") + 1)).purchaseId;
  const second = await press();
  assert.equal(second.status, 200);
  assert.notEqual(second.purchase, first, "the second press replayed the first");
  await register.locator(".examples-select-element").first().selectOption("request-id-reused");
  const reused = await press();
  assert.deepEqual([reused.status, reused.requestId], [409, second.requestId]);
  const body = register.locator("textarea.body-param__text");
  await body.fill((await body.inputValue()).replace("order-1001", "my-own"));
  const [typed, again] = [await press(), await press()];
  assert.deepEqual([typed.status, typed.requestId], [200, "my-own"]);
  assert.deepEqual(again, typed);

  // With everything open the page is no wider than a phone.
  await page.setViewportSize({ width: 390, height: 844 });
  await page.evaluate(() => {
    document.querySelectorAll(".opblock:not(.is-open) .opblock-summary-control").forEach((closed) => closed.click());
  });
  const tables = (more) => document.querySelectorAll(".opblock.is-open .responses-table").length > more; // one more for the live answer
  // The page is very long now. Asking in each frame would slow its drawing down.
  await page.waitForFunction(tables, operations.length, { polling: 1000, timeout: 120_000 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} wide on a phone of 390`);
  if (process.env.SCREENSHOT) {
    await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
  }

  assert.deepEqual(elsewhere, [], "the page asked another host");
  // The browser also reports the refusal that this test provokes.
  assert.deepEqual(complaints.filter((text) => !text.includes("status of 409")), [], "the page complained");
  console.log(`${operations.length} operations, a call answered with 200, nothing loaded from elsewhere`);
} finally {
  await browser.close();
}
