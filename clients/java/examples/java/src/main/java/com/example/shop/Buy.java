package com.example.shop;

import com.gigagate.client.Gigagate;
import com.gigagate.v1.ActivatedItem;
import com.gigagate.v1.ActivationMode;
import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.Effect;
import com.gigagate.v1.ErrorReason;
import com.gigagate.v1.Money;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.PurchaseServiceGrpc;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.gigagate.v1.WaitPurchaseRequest;
import com.gigagate.v1.WaitPurchaseResponse;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import io.grpc.Channel;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/**
 * Buys a package as a service would: one intent, one request id, and an error read by what it did
 * and not by its code.
 *
 * <p>Arguments, both optional: the retail price that the customer was shown, in US dollars; how
 * many seconds the customer is kept waiting.
 */
public final class Buy {
  private Buy() {}

  public static void main(String[] args) {
    String price = args.length > 0 ? args[0] : "9.99";
    long patience = args.length > 1 ? Long.parseLong(args[1]) : 90;
    String address = System.getenv().getOrDefault("GIGAGATE_ADDRESS", "127.0.0.1:9090");

    // The id of the intent. A real service makes it once and stores it with the order before the
    // first send, so that every later send bears the same id, also after a crash.
    String requestId = "order-" + UUID.randomUUID();
    System.out.println("request id " + requestId);
    RegisterRequest request =
        RegisterRequest.newBuilder()
            .setRequestId(requestId)
            .setInventoryItemId("6513270e-269e-4d37-b2a7-4de452e6b438")
            .setMetatag("a text of yours, for instance " + requestId)
            .setUserIp("203.0.113.24")
            .setUserCountry("GR")
            .setExpectedPrice(Money.newBuilder().setCurrencyCode("USD").setAmount(price))
            .setActivationMode(ActivationMode.ACTIVATION_MODE_FIRST_USE)
            .build();

    ManagedChannel channel =
        Gigagate.channel(address, InsecureChannelCredentials.create()).build();
    int exit = 0;
    try {
      RegisterResponse sold = buy(channel, patience, request);
      ActivatedItem item = sold.getActivatedItem();
      System.out.println("sold " + item.getUid() + " to customer " + sold.getCustomer().getUid());
      if (item.getBalance().hasActivationDeadline()) {
        Timestamp start = item.getBalance().getActivationDeadline();
        System.out.println(
            "not started; starts by itself at " + Instant.ofEpochSecond(start.getSeconds()));
      }
    } catch (StatusRuntimeException e) {
      System.out.println(e.getMessage());
      System.out.println(whatNow(Gigagate.outcomeOf(e)));
      exit = 1;
    }
    channel.shutdownNow();
    System.exit(exit);
  }

  /**
   * Waits once more for a purchase that is not settled when the customer's patience is over. A real
   * service does that in the background, with the request id it has stored.
   */
  private static RegisterResponse buy(Channel channel, long patience, RegisterRequest request) {
    var activations = ActivationServiceGrpc.newBlockingStub(channel);
    var purchases = PurchaseServiceGrpc.newBlockingStub(channel);
    try {
      return activations.withDeadlineAfter(patience, TimeUnit.SECONDS).register(request);
    } catch (StatusRuntimeException e) {
      Outcome outcome = Gigagate.outcomeOf(e).orElseThrow(() -> e);
      if (outcome.getReason() != ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN
          || outcome.getPurchaseId().isEmpty()) {
        throw e;
      }
      System.out.println("not settled yet, waiting for purchase " + outcome.getPurchaseId());
      WaitPurchaseResponse waited;
      try {
        waited =
            purchases.waitPurchase(
                WaitPurchaseRequest.newBuilder()
                    .setId(outcome.getPurchaseId())
                    .setTimeout(Duration.newBuilder().setSeconds(60))
                    .build());
      } catch (StatusRuntimeException waitFailed) {
        throw e; // what is known of the purchase is still what the first error told
      }
      System.out.println("now it is " + waited.getPurchase().getState());
      // The same request id buys nothing more: it tells what became of the purchase.
      return activations.register(request);
    }
  }

  private static String whatNow(Optional<Outcome> outcome) {
    if (outcome.isPresent()
        && outcome.get().getReason() == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED) {
      // The effect is that of the other order.
      return "the request id stands for another order: this one was not bought";
    }
    // No Outcome (a broken connection, a proxy's page) says as little as INDETERMINATE does.
    Effect effect = outcome.map(Outcome::getEffect).orElse(Effect.EFFECT_INDETERMINATE);
    return switch (effect) {
      case EFFECT_NOT_STARTED ->
          "this send started nothing, an earlier one may have bought: "
              + "mend the request or repeat it, with the same request id";
      case EFFECT_NOT_APPLIED -> "nothing was bought: " + outcome.get().getReason();
      case EFFECT_APPLIED -> "it was bought, as purchase " + outcome.get().getPurchaseId();
      default -> "it may have been bought: keep the request id, and do not buy under a new one";
    };
  }
}
