// A caller in TypeScript. readme.test.mjs compiles and runs it against the installed package.
import { toJsonString } from "@bufbuild/protobuf";
import { createGigagate, RegisterResponseSchema, register } from "@gigagate/client";

const gigagate = createGigagate({
  baseUrl: `http://${process.env.GIGAGATE_ADDRESS ?? "127.0.0.1:9090"}`,
});
const order = {
  requestId: "order-4711",
  inventoryItemId: "6513270e-269e-4d37-b2a7-4de452e6b438",
  metatag: "any text",
  userIp: "203.0.113.24",
  userCountry: "GR",
  expectedPrice: { currencyCode: "USD", amount: "8.99" },
};
const purchase = await register(gigagate, order, { timeoutMs: 90_000 });
if (purchase.kind === "sold") {
  console.log(toJsonString(RegisterResponseSchema, purchase.response));
} else if (purchase.kind === "refused") {
  console.log(purchase.reason, purchase.effect, purchase.message);
} else {
  console.log("not known yet, ask again later:", purchase.cause.message);
}
