// Walks through the console of three gateways, which .ci/console starts.
//
//   node walk.mjs WORK [FOLDER]    WORK has open.json, closed.json and issuer.json with the addresses, issuer.url, and the keys
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { chromium } from "playwright-core";
import { look, open, seen } from "./look.mjs";

const [work, folder] = process.argv.slice(2);
const addresses = (name) => JSON.parse(readFileSync(join(work, `${name}.json`), "utf8"));
const key = (name) => readFileSync(join(work, `${name}.key`), "utf8").trim();

const item = "6513270e-269e-4d37-b2a7-4de452e6b438";
const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)> \u2067txet\u2069 ${"W".repeat(60)}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
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

/** Calls the gateway or the sandbox as a program does. */
async function call(url, body, headers = {}) {
  const response = await fetch(url, {
    method: body === undefined ? "GET" : "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}

const order = (requestId, metatag) => ({
  requestId, inventoryItemId: item, metatag, userIp: "203.0.113.24", userCountry: "GR", activationMode: "ACTIVATION_MODE_FIRST_USE",
});

/** The main part of the page says this. */
const says = (page, text) => page.locator("main").getByText(text).first().waitFor();

/** The page of a purchase shows its state, without a reload. */
const isIn = (page, state) => page.locator("main .chip").first().getByText(state, { exact: true }).waitFor({ timeout: 60_000 });

async function openGateway() {
  const { console: origin, rest, sandbox } = addresses("open");
  const page = await open(browser, origin);
  const go = (path) => page.goto(new URL(`/console/${path}`, origin).href);

  await go("");
  await look(page, "now-empty", folder);
  await go("sandbox");
  await look(page, "sandbox-empty", folder);
  await go("needs");
  await look(page, "needs-empty", folder);
  await go("money");
  await look(page, "money-empty", folder);

  // The first Tab leads to the link over the navigation.
  await go("");
  await page.keyboard.press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /skip/i);
  await page.keyboard.press("Enter");
  assert.match(page.url(), /#/);

  // Break the vendor with a click, and watch the gateway recover: the page of the purchase moves by itself.
  await go("sandbox");
  await page.getByRole("button", { name: "Break it and buy: The answer is lost", exact: true }).click();
  await page.waitForURL(/\/console\/purchases\/[0-9A-Z]{26}$/);
  await page.evaluate(() => (globalThis.notReloaded = true));
  await isIn(page, "succeeded");
  assert.ok(await page.evaluate(() => globalThis.notReloaded), "the page was reloaded");
  await look(page, "purchase-recovered", folder);

  // Nothing breaks. The secrets are masked until somebody gives a reason.
  await go("sandbox");
  await page.getByRole("button", { name: "Buy: Nothing breaks" }).click();
  await isIn(page, "succeeded");
  assert.doesNotMatch(await page.content(), /LPA:1\$/);
  await revealSecret(page);
  await go("money");
  await page.locator("#audit").waitFor();
  await says(page, "READ_SECRETS");

  await settleAsNewUser(page, go, sandbox);
  await freezeAndThaw(page, go);
  await showHostileText(page, go, rest, sandbox);

  await go("sandbox");
  await page.getByRole("button", { name: "Break it and buy: The vendor is down" }).click();
  await go("");
  await look(page, "now-outage", folder);
  await go("sandbox");
  await look(page, "sandbox-broken", folder);
  await page.getByRole("button", { name: "Repair it" }).click();
  await says(page, "The vendor works");
  await page.getByRole("button", { name: "1 hour" }).click();
  await page.waitForURL(/\/console\/sandbox$/);
  await page.getByRole("button", { name: /^Connect/ }).first().click();
  await page.getByRole("button", { name: /^Use 10 MB/ }).first().click();
  await says(page, "The vendor works");
  await page.getByText("Choose a fault, and the calls that it spoils").click();
  await page.locator("select[name=fault]").selectOption("5xx");
  await page.getByRole("button", { name: "Arm it" }).click();
  await says(page, "The vendor is broken");
  await page.getByRole("button", { name: "Repair it" }).click();

  await go("purchases");
  await look(page, "purchases", folder);
  await go("no-such-page");
  await look(page, "problem", folder);
  return page;
}

/** Reveals the activation code of the purchase that is open, with a reason. */
async function revealSecret(page) {
  await page.getByRole("link", { name: "Read the vendor's record of the package" }).click();
  const record = page.locator("form[action$='/secrets']");
  await look(page, "purchase-record", folder);
  assert.doesNotMatch(await page.content(), /LPA:1\$/);
  await record.locator("input[name=reason]").fill("ticket 4711: the customer lost the code");
  await record.getByRole("button").click();
  await page.getByText(/LPA:1\$/).first().waitFor();
  await look(page, "purchase-secrets", folder);
}

/**
 * Settles a purchase made under "commit, then reset" whose record cannot be read, as somebody who never saw the console: from
 * the first page, by what the pages say. Counts the clicks.
 */
async function settleAsNewUser(page, go, sandbox) {
  await go("sandbox");
  await page.getByRole("button", { name: "Break it and buy: The answer is lost, and the list cannot be read" }).click();
  await isIn(page, "uncertain");
  await look(page, "purchase-uncertain", folder);

  let clicks = 0;
  const click = async (locator) => {
    clicks++;
    await locator.click();
  };
  await go("");
  await look(page, "now-uncertain", folder);
  await click(page.getByRole("link", { name: "Needs you" }).first());
  await page.waitForURL(/\/console\/needs$/);
  // Why it is uncertain, and when that ends.
  await says(page, "The vendor did not say clearly whether it sold this order.");
  await says(page, /could not be read/);
  await says(page, /It needs an operator in \d+ min/);
  await look(page, "needs-uncertain", folder);

  // The first answer is refused, because no records show it.
  await page.getByText("Nothing was sold, and the records show it").click();
  await answer(page, "nothing", "the portal shows nothing");
  await says(page, "ABSENCE_NOT_SHOWN");
  await look(page, "settle-refused", folder);

  // The portal shows the package. Here, the page of the sandbox takes its place.
  const { sales } = await call(`${sandbox}/_sandbox/ledger`);
  await go("needs");
  const sold = page.locator("details", { hasText: "It was sold, and I know the package" });
  const mark = await page.locator("dd", { hasText: /^gg[0-9A-Z]{26}$/ }).innerText();
  await click(sold.locator("summary"));
  await click(sold.getByRole("link", { name: "the page of the sandbox" }));
  const uid = await page.getByRole("row", { name: mark }).locator("code").first().innerText();
  await click(page.getByRole("link", { name: "Needs you" }).first());
  await click(sold.locator("summary"));
  await sold.locator("input[name=item]").fill(uid);
  clicks += await answer(page, "sold", "the portal shows it, at the time of the order");
  await isIn(page, "succeeded");
  await look(page, "purchase-settled", folder);
  console.log(`settled an uncertain purchase with ${clicks} clicks from the first page`);

  const after = await call(`${sandbox}/_sandbox/ledger`);
  assert.equal(after.sales.length, sales.length, "settling a purchase sold something");
}

/** Fills the form of an answer and sends it. Returns how many clicks that took. */
async function answer(page, which, note) {
  const form = page.locator(`form:has(input[name=answer][value=${which}])`).first();
  await form.locator("input[name=note]").fill(note);
  const name = form.locator("input[name=operator]");
  if (await name.count()) {
    await name.fill("anna");
  }
  await form.getByRole("checkbox").check();
  await form.getByRole("button").click();
  return 2;
}

async function freezeAndThaw(page, go) {
  await go("money");
  await page.getByText("Stop new purchases").click();
  const freeze = page.locator("form[action$='/money/freeze']");
  await freeze.locator("input[name=reason]").fill("a leaked key");
  await freeze.locator("input[name=operator]").fill("anna");
  await freeze.getByRole("checkbox").check();
  await look(page, "money-form", folder);
  await freeze.getByRole("button").click();
  await says(page, "Everything is frozen");
  await look(page, "money-frozen", folder);

  await go("sandbox");
  await page.getByRole("button", { name: "Repair it" }).click();
  await page.getByRole("button", { name: "Buy: Nothing breaks" }).click();
  await says(page, /frozen/i);

  await go("money");
  await page.locator("summary", { hasText: "Thaw" }).click();
  const thaw = page.locator("form[action$='/money/thaw']");
  await thaw.locator("input[name=reason]").fill("the key was replaced");
  await thaw.locator("input[name=operator]").fill("anna");
  await thaw.getByRole("checkbox").check();
  await thaw.getByRole("button").click();
  await says(page, "Nothing is frozen");
  await says(page, "the key was replaced");

  // A page of another site cannot freeze.
  const response = await fetch(new URL("/console/money/freeze", page.url()), {
    method: "POST",
    headers: { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded" },
    body: "scope=everything&operator=evil&reason=evil&confirmed=yes",
  });
  assert.equal(response.status, 403);
  await go("money");
  await says(page, "Nothing is frozen");
}

/** Texts of callers and of the vendor are shown as texts. */
async function showHostileText(page, go, rest, sandbox) {
  const bought = await call(`${rest}/v1/activations/register`, order("hostile-1", hostile));
  assert.match(bought.purchaseId ?? "", /^[0-9A-Z]{26}$/, JSON.stringify(bought));
  await go(`purchases/${bought.purchaseId}`);
  await page.locator("main").getByText("<script>alert(1)</script>").first().waitFor();
  await look(page, "purchase-hostile", folder);

  // The vendor names a package with 10 KB.
  const { accessToken } = await call(`${sandbox}/reseller/authenticate`, {}, { Authorization: `Basic ${btoa("walk:walk")}` });
  const path = `/gigastore/activations/customers/${bought.customer.uid}`;
  const record = JSON.stringify(await call(sandbox + path, undefined, { Authorization: `Bearer ${accessToken}` }));
  const renamed = record.replaceAll("eSIM Worldwide 1 GB", JSON.stringify(hostile + "x".repeat(10_000)).slice(1, -1));
  assert.notEqual(renamed, record);
  await call(`${sandbox}/_sandbox/faults`, { path, fault: "status", params: { code: 200, body: renamed, contentType: "application/json" } });
  await page.getByRole("link", { name: "Read the vendor's record of the package" }).click();
  await page.locator("#record").getByText("<script>alert(1)</script>").first().waitFor();
  await look(page, "purchase-hostile-record", folder);

  await call(`${sandbox}/_sandbox/faults`, {
    path: "/gigastore/activations/register", fault: "refuse",
    params: { reason: "insufficientCredits", message: hostile + "x".repeat(10_000) },
  });
  const refused = await call(`${rest}/v1/activations/register`, order("hostile-2", hostile));
  assert.ok(refused.code, JSON.stringify(refused));
  await go("purchases?by=request_id&q=hostile-2");
  await look(page, "purchases-hostile", folder);
  await page.locator("main a[href*='/purchases/0']").first().click();
  await look(page, "purchase-refused", folder);
  assert.equal(await page.locator("main script, main img").count(), 0, "a text became an element");
}

async function closedGateway() {
  const { console: origin, rest, sandbox } = addresses("closed");
  const page = await open(browser, origin);
  const go = (path) => page.goto(new URL(`/console/${path}`, origin).href);
  const as = (name) => ({ Authorization: `Bearer ${key(name)}` });

  await go("money");
  await page.waitForURL(/sign-in/);
  await look(page, "sign-in", folder);
  for (const wrong of ["gg_wrong", key("shop")]) { // a caller is no operator
    await page.locator("input[name=key]").fill(wrong);
    const answered = page.waitForResponse((response) => response.request().method() === "POST");
    await page.locator("main form").getByRole("button").click();
    assert.equal((await answered).status(), 403);
    await page.getByRole("alert").first().waitFor();
  }
  await look(page, "sign-in-wrong", folder);
  await page.locator("input[name=key]").fill(key("anna"));
  await page.locator("main form").getByRole("button").click();
  await page.waitForURL(/\/console\/money$/);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ httpOnly, sameSite }) => ({ httpOnly, sameSite })), [{ httpOnly: true, sameSite: "Strict" }]);

  // One sale, and one whose record nobody can read: it needs an operator soon.
  await call(`${rest}/v1/activations/register`, order("budget-1", "order 1"), as("shop"));
  await call(`${rest}/v1/activations/register`, order("budget-2", "order 2"), as("app"));
  for (const [path, fault, count] of [
    ["/gigastore/activations/register", "commit_then_reset", 1],
    ["/gigastore/activations/*", "list_fail", 1_000_000],
  ]) {
    await call(`${sandbox}/_sandbox/faults`, { path, fault, count });
  }
  await call(`${rest}/v1/activations/register`, order("budget-3", "order 3"), { ...as("shop"), "Grpc-Timeout": "1S" });
  await go("money");
  await page.locator(".budget", { hasText: "shop" }).getByText("4.20 reserved").first().waitFor();
  await look(page, "money", folder);

  await page.waitForFunction(async () => (await (await fetch("/console/needs")).text()).includes("for your answer"), undefined, {
    timeout: 60_000, polling: 1000,
  });
  await go("needs");
  await says(page, "RECORDS_UNREADABLE");
  await look(page, "needs", folder);
  await page.getByText("Nothing was sold, whatever the records show").click();
  await look(page, "needs-open", folder);
  await answer(page, "force", "the vendor's support says that nothing was sold");
  await isIn(page, "failed");
  await look(page, "purchase-forced", folder);
  await go("needs");
  await says(page, /Nothing waits for you/);

  // The records show the sale all the same, once somebody reads them for another purchase.
  await fetch(`${sandbox}/_sandbox/faults`, { method: "DELETE" });
  await call(`${sandbox}/_sandbox/faults`, { path: "/gigastore/activations/register", fault: "commit_then_reset", count: 1 });
  await call(`${rest}/v1/activations/register`, order("budget-4", "order 4"), { ...as("app"), "Grpc-Timeout": "1S" });
  await page.waitForFunction(async () => (await (await fetch("/console/needs")).text()).includes("contradicts the journal"), undefined, {
    timeout: 60_000, polling: 1000,
  });
  await go("needs");
  await says(page, "This purchase failed, but the vendor sold a package for it.");
  await look(page, "needs-anomaly", folder);
  await page.getByRole("link", { name: "List all of them" }).click();
  assert.equal(await page.locator("main tbody tr").count(), 1);
  await look(page, "purchases-anomalies", folder);
  await page.locator("main tbody a").first().click();
  await says(page, "Who gets the package?");
  await look(page, "purchase-anomaly", folder);
  await page.getByRole("button", { name: /sign out/i }).click();
  await page.waitForURL(/sign-in/);
  return page;
}

/** Operators sign in at an issuer. Its page is of another site, so the browser decides about the cookies as it does in life. */
async function issuerGateway() {
  const issuer = readFileSync(join(work, "issuer.url"), "utf8").trim();
  const origin = addresses("issuer").console.replace("127.0.0.1", "localhost");
  const page = await open(browser, origin, issuer);
  const go = (path) => page.goto(new URL(`/console/${path}`, origin).href);
  /** Goes to the issuer, and presses a button there. */
  const atIssuer = async (button) => {
    await page.getByRole("link", { name: `Sign in at ${new URL(issuer).host}` }).click();
    await page.waitForURL((url) => url.origin === issuer);
    await page.getByRole("button", { name: button }).click();
  };
  const cookies = async () =>
    (await page.context().cookies(origin)).map(({ name, path, httpOnly, sameSite }) => ({ name: name.replace(/-\d+$/, ""), path, httpOnly, sameSite }));

  await go("purchases?state=FAILED");
  await page.waitForURL(/sign-in/);
  await look(page, "sign-in-issuer", folder);

  // Somebody who is no operator, and somebody who changes his mind.
  await atIssuer("I am Bert");
  await says(page, "This is not the key or the account of an operator.");
  await look(page, "sign-in-issuer-refused", folder);
  assert.deepEqual(await cookies(), []);
  await atIssuer("I do not sign in");
  await says(page, "The issuer did not sign you in.");
  await look(page, "sign-in-issuer-left", folder);

  // The page that leads on is gone at once. Without its header it stays, so that it can be looked at. Playwright can change the
  // answer only if no redirect leads to it, so the browser does not get that of the issuer.
  const callback = (url) => url.origin === origin && url.pathname.endsWith("/callback");
  let back;
  await page.route((url) => url.origin === issuer, async (route) => {
    if (route.request().method() !== "POST") {
      await route.continue();
      return;
    }
    back = (await route.fetch({ maxRedirects: 0 })).headers().location;
    await route.fulfill({ status: 204 });
  });
  await page.route(callback, async (route) => {
    const response = await route.fetch();
    const { refresh, ...headers } = response.headers();
    assert.equal(refresh, "0; url=/console/purchases?state=FAILED");
    await route.fulfill({ response, headers });
  });
  const answered = page.waitForResponse((response) => response.status() === 204);
  await atIssuer("I am Anna");
  await answered;
  await page.goto(back);
  await says(page, "Go on");
  await look(page, "signed-in", folder);
  await page.unrouteAll();
  await page.getByRole("link", { name: "Go on" }).click();
  await page.waitForURL(/\/console\/purchases\?state=FAILED$/);
  await page.getByRole("button", { name: /sign out/i }).click();
  await page.waitForURL(/sign-in/);
  await go("money");
  assert.match(page.url(), /sign-in/, "the page is shown after the operator signed out");

  // Now all is left to the browser. The way ends at the page that the operator asked for.
  await atIssuer("I am Anna");
  await page.waitForURL(/\/console\/money$/);
  await page.locator(".who .name").getByText("anna", { exact: true }).waitFor();
  await look(page, "money-issuer", folder);
  assert.deepEqual(await cookies(), [{ name: "gigagate-console", path: "/", httpOnly: true, sameSite: "Strict" }]);

  // The address with the code works once.
  const again = await open(browser, origin, issuer);
  assert.equal((await again.goto(back)).status(), 400);
  await says(again, "This browser did not begin to sign in at this address");
  await look(again, "sign-in-issuer-again", folder);
  assert.deepEqual(again.complaints, []);
  await page.getByRole("button", { name: /sign out/i }).click();
  await page.waitForURL(/sign-in/);
  return page;
}

try {
  for (const walk of [openGateway, closedGateway, issuerGateway]) {
    const page = await walk();
    assert.deepEqual(page.elsewhere, [], "a page asked another host");
    assert.deepEqual(page.complaints, [], "a page complained");
  }
  console.log(`${seen.pages.size} pages without a violation that axe-core or the policy reports, ${seen.pictures} pictures`);
} finally {
  await browser.close();
}
