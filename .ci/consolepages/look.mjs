// Looks at a page as people see it: at three widths, light and dark, and as a screen reader reads it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const widths = [390, 820, 1440];

/** Counts what was looked at. */
export const seen = { pages: new Set(), pictures: 0 };

/**
 * Opens a page that reports every violation of the Content-Security-Policy, and every request to another host. The browser may
 * go to the issuer.
 */
export async function open(browser, origin, issuer) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.elsewhere = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin === issuer && request.isNavigationRequest()) {
      return;
    }
    if (["http:", "https:", "ws:", "wss:"].includes(url.protocol) && url.origin !== origin) {
      page.elsewhere.push(request.url());
    }
  });
  // Violations of the policy are reported here, too. A refused form is no complaint.
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())) {
      page.complaints.push(`${page.url()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => page.complaints.push(`${page.url()}: ${error}`));
  page.on("dialog", (dialog) => {
    page.complaints.push(`${page.url()}: a dialog says ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("response", (response) => {
    if (response.request().isNavigationRequest() && response.status() !== 303 && new URL(response.url()).origin !== issuer) {
      const headers = response.headers();
      const policy = headers["content-security-policy"] ?? "";
      assert.match(policy, /^default-src 'none';/, `${response.url()} has the policy ${policy}`);
      assert.doesNotMatch(policy, /unsafe/);
      assert.equal(headers["cache-control"], "no-store", response.url());
      assert.equal(headers["x-content-type-options"], "nosniff", response.url());
    }
  });
  return page;
}

/** Looks at the page that is open, and keeps pictures of it if folder is given. */
export async function look(page, name, folder) {
  await page.waitForLoadState(); // without its style, a page is wider
  const before = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of widths) {
      await page.setViewportSize({ width, height: width < 500 ? 844 : 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${name} is ${wide} wide on a screen of ${width}`);
      assert.deepEqual(await overlaps(page), [], `${name} at ${width}: texts overlap`);
      if (folder) {
        mkdirSync(folder, { recursive: true });
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        seen.pictures++;
      }
    }
    await page.evaluate(axe);
    for (const width of colorScheme === "light" ? [390, 1440] : [1440]) {
      await page.setViewportSize({ width, height: 900 });
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      const told = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html}\n    ${n.failureSummary}`).join("\n")}`);
      assert.equal(told.length, 0, `axe-core on ${name}, ${colorScheme}, ${width} wide:\n${told.join("\n")}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(before);
  seen.pages.add(name);
}

/** Pairs of links, buttons and headings that cover each other. */
function overlaps(page) {
  return page.evaluate(() => {
    const boxes = [...document.querySelectorAll("a, button, h1, h2, h3, h4, dt, dd, label, summary")]
      .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
      .map((element) => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 2 && box.height > 2 && box.bottom > 0);
    const found = [];
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) {
        if (a.element.contains(b.element) || b.element.contains(a.element)) {
          continue;
        }
        const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
        const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
        if (wide > 3 && high > 3) {
          found.push(`${a.element.textContent.trim().slice(0, 40)} / ${b.element.textContent.trim().slice(0, 40)}`);
        }
      }
    }
    return found.slice(0, 5);
  });
}
