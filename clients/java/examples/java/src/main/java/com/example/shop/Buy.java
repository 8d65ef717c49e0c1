package com.example.shop;

import com.gigagate.client.ApiKey;
import com.gigagate.client.Gigagate;
import com.gigagate.client.NotKnownYet;
import com.gigagate.client.Refused;
import com.gigagate.v1.ActivatedItem;
import com.gigagate.v1.ActivationMode;
import com.gigagate.v1.Money;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.google.protobuf.Timestamp;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;

/** Buys a package as a service would. */
public final class Buy {
  private Buy() {}

  public static void main(String[] args) throws IOException {
    Map<String, String> options =
        new HashMap<>(
            Map.of(
                // A real service makes the request id once and stores it with the order before it
                // buys. A later attempt uses the same id, also after a crash.
                "--request-id", "order-" + UUID.randomUUID(),
                "--item", "6513270e-269e-4d37-b2a7-4de452e6b438",
                // The retail price that the customer was shown, in US dollars.
                "--price", "9.99",
                // How many seconds the customer waits.
                "--patience", "90"));
    for (int i = 0; i < args.length; i += 2) {
      if (i + 1 == args.length || options.replace(args[i], args[i + 1]) == null) {
        System.err.println("not an option with a value: " + args[i]);
        System.exit(2);
      }
    }
    String address = System.getenv().getOrDefault("GIGAGATE_ADDRESS", "127.0.0.1:9090");

    String requestId = options.get("--request-id");
    System.out.println("request id " + requestId);
    RegisterRequest request =
        RegisterRequest.newBuilder()
            .setRequestId(requestId)
            .setInventoryItemId(options.get("--item"))
            .setMetatag("any text, for example " + requestId)
            .setUserIp("203.0.113.24")
            .setUserCountry("GR")
            .setExpectedPrice(
                Money.newBuilder().setCurrencyCode("USD").setAmount(options.get("--price")))
            .setActivationMode(ActivationMode.ACTIVATION_MODE_FIRST_USE)
            .build();
    Duration patience = Duration.ofSeconds(Long.parseLong(options.get("--patience")));

    ManagedChannel channel = Gigagate.channel(address, security()).build();
    boolean sold = buy(channel, request, patience);
    channel.shutdownNow();
    System.exit(sold ? 0 : 1);
  }

  /** TLS with an API key. A gateway on this machine may do without both. */
  private static ChannelCredentials security() throws IOException {
    String authority = System.getenv("GIGAGATE_TLS_CA");
    if (authority == null) {
      return InsecureChannelCredentials.create();
    }
    return CompositeChannelCredentials.create(
        TlsChannelCredentials.newBuilder().trustManager(new File(authority)).build(),
        ApiKey.inFile(Path.of(System.getenv("GIGAGATE_API_KEY_FILE"))));
  }

  private static boolean buy(Channel channel, RegisterRequest request, Duration patience) {
    try {
      show(Gigagate.register(channel, request, patience));
      return true;
    } catch (Refused e) {
      System.out.println(
          "refused: " + e.getReason() + ", " + e.getEffect() + ": " + e.getMessage());
      System.out.println(whatNow(e));
    } catch (NotKnownYet e) {
      System.out.println(e.getMessage());
      System.out.println("ask again later with --request-id " + request.getRequestId());
    }
    return false;
  }

  private static String whatNow(Refused refused) {
    if (refused.getReason().equals("REQUEST_ID_REUSED")) {
      return "the request id stands for another order: this one was not bought";
    }
    if (refused.getReason().equals("UNAUTHENTICATED")) {
      return "the credential is wrong: correct it, and ask again with the same request id";
    }
    return switch (refused.getEffect()) {
      case "NOT_APPLIED" -> "nothing was bought: a new request id buys anew";
      case "NOT_STARTED" ->
          "nothing was started: correct the order or repeat it, with the same request id";
      default -> "it was sold, as purchase " + refused.getPurchaseId();
    };
  }

  private static void show(RegisterResponse sale) {
    ActivatedItem item = sale.getActivatedItem();
    System.out.println("sold " + item.getUid() + " to customer " + sale.getCustomer().getUid());
    if (item.getBalance().hasActivationDeadline()) {
      Timestamp start = item.getBalance().getActivationDeadline();
      System.out.println(
          "not started; starts by itself at " + Instant.ofEpochSecond(start.getSeconds()));
    }
  }
}
