package com.gigagate.scenario;

import com.gigagate.client.ApiKey;
import com.gigagate.client.Gigagate;
import com.gigagate.client.NotKnownYet;
import com.gigagate.client.Refused;
import com.gigagate.v1.ActivateRequest;
import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceBlockingStub;
import com.gigagate.v1.AuditServiceGrpc.AuditServiceBlockingStub;
import com.gigagate.v1.AuditServiceGrpc;
import com.gigagate.v1.BudgetServiceGrpc.BudgetServiceBlockingStub;
import com.gigagate.v1.BudgetServiceGrpc;
import com.gigagate.v1.CustomerServiceGrpc.CustomerServiceBlockingStub;
import com.gigagate.v1.CustomerServiceGrpc;
import com.gigagate.v1.FieldViolation;
import com.gigagate.v1.FindCustomerRequest;
import com.gigagate.v1.FreezeRequest;
import com.gigagate.v1.FreezeServiceGrpc.FreezeServiceBlockingStub;
import com.gigagate.v1.FreezeServiceGrpc;
import com.gigagate.v1.GetBudgetRequest;
import com.gigagate.v1.GetCustomerRequest;
import com.gigagate.v1.GetPurchaseRequest;
import com.gigagate.v1.InventoryServiceGrpc;
import com.gigagate.v1.InventoryServiceGrpc.InventoryServiceBlockingStub;
import com.gigagate.v1.ListAuditRecordsRequest;
import com.gigagate.v1.ListBudgetsRequest;
import com.gigagate.v1.ListFreezesRequest;
import com.gigagate.v1.ListInventoryItemsRequest;
import com.gigagate.v1.ListPurchasesRequest;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.PurchaseServiceGrpc;
import com.gigagate.v1.PurchaseServiceGrpc.PurchaseServiceBlockingStub;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.ResolvePurchaseRequest;
import com.gigagate.v1.ThawRequest;
import com.gigagate.v1.TopUpRequest;
import com.gigagate.v1.WaitPurchaseRequest;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Makes the calls that {@code internal/scenarios} asks for, one JSON object a line, as
 * proto/scenarios/README.md describes.
 */
public final class ScenarioClient {
  private static final Metadata.Key<String> REPLAYED =
      Metadata.Key.of("gigagate-replayed", Metadata.ASCII_STRING_MARSHALLER);
  private static final JsonFormat.Printer PRINTER =
      JsonFormat.printer().omittingInsignificantWhitespace();

  private final AtomicReference<Metadata> headers = new AtomicReference<>();
  private final ActivationServiceBlockingStub activations;
  private final AuditServiceBlockingStub audit;
  private final BudgetServiceBlockingStub budgets;
  private final CustomerServiceBlockingStub customers;
  private final FreezeServiceBlockingStub freezes;
  private final InventoryServiceBlockingStub inventory;
  private final PurchaseServiceBlockingStub purchases;

  private final Channel packages;

  private ScenarioClient(Channel plain, Channel packages) {
    this.packages = packages;
    Channel channel =
        ClientInterceptors.intercept(
            plain,
            MetadataUtils.newCaptureMetadataInterceptor(headers, new AtomicReference<>()));
    activations = ActivationServiceGrpc.newBlockingStub(channel);
    audit = AuditServiceGrpc.newBlockingStub(channel);
    budgets = BudgetServiceGrpc.newBlockingStub(channel);
    customers = CustomerServiceGrpc.newBlockingStub(channel);
    freezes = FreezeServiceGrpc.newBlockingStub(channel);
    inventory = InventoryServiceGrpc.newBlockingStub(channel);
    purchases = PurchaseServiceGrpc.newBlockingStub(channel);
  }

  public static void main(String[] args) throws IOException {
    // A scenario counts on seeing every answer, so this channel repeats nothing.
    ManagedChannel channel =
        Grpc.newChannelBuilder(args[0], credentials()).disableRetry().build();
    ManagedChannel packages = Gigagate.channel(args[0], credentials()).build();
    ScenarioClient client = new ScenarioClient(channel, packages);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      answers.println(client.answer(JsonParser.parseString(line).getAsJsonObject()));
    }
    channel.shutdownNow();
    packages.shutdownNow();
  }

  /** TLS and the credential that the environment names. */
  private static ChannelCredentials credentials() throws IOException {
    String authorities = System.getenv("GIGAGATE_TLS_CA");
    if (authorities == null) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder tls =
        TlsChannelCredentials.newBuilder().trustManager(new File(authorities));
    String certificate = System.getenv("GIGAGATE_CLIENT_TLS_CERT");
    if (certificate != null) {
      tls.keyManager(new File(certificate), new File(System.getenv("GIGAGATE_CLIENT_TLS_KEY")));
    }
    String key = System.getenv("GIGAGATE_API_KEY_FILE");
    return key == null
        ? tls.build()
        : CompositeChannelCredentials.create(tls.build(), ApiKey.inFile(Path.of(key)));
  }

  private JsonObject answer(JsonObject asked) throws InvalidProtocolBufferException {
    JsonObject answer = new JsonObject();
    headers.set(new Metadata());
    try {
      answer.add("response", json(asked.has("helper") ? buy(asked) : call(asked)));
      answer.addProperty("replayed", "true".equals(headers.get().get(REPLAYED)));
    } catch (StatusRuntimeException e) {
      JsonObject error = new JsonObject();
      error.addProperty("code", e.getStatus().getCode().name());
      error.addProperty("message", e.getStatus().getDescription());
      Outcome outcome = Gigagate.outcomeOf(e).orElse(null);
      error.add("outcome", outcome == null ? JsonNull.INSTANCE : json(outcome));
      answer.add("error", error);
    } catch (Refused e) {
      JsonObject refused = new JsonObject();
      refused.addProperty("reason", e.getReason());
      refused.addProperty("effect", e.getEffect());
      refused.addProperty("message", e.getMessage());
      refused.addProperty("purchaseId", e.getPurchaseId());
      JsonArray violations = new JsonArray();
      for (FieldViolation violation : e.getFieldViolations()) {
        violations.add(json(violation));
      }
      refused.add("fieldViolations", violations);
      answer.add("refused", refused);
    } catch (NotKnownYet e) {
      JsonObject notKnownYet = new JsonObject();
      notKnownYet.addProperty("purchaseId", e.getPurchaseId());
      answer.add("notKnownYet", notKnownYet);
    }
    return answer;
  }

  /** Buys with the purchase helper. */
  private Message buy(JsonObject asked)
      throws InvalidProtocolBufferException, Refused, NotKnownYet {
    String method = asked.get("method").getAsString();
    JsonElement deadline = asked.get("deadlineMs");
    Duration timeout = Duration.ofMillis(deadline == null ? 100_000 : deadline.getAsLong());
    return switch (method) {
      case "gigagate.v1.ActivationService/Register" ->
          Gigagate.register(packages, read(asked, RegisterRequest.newBuilder()).build(), timeout);
      case "gigagate.v1.ActivationService/TopUp" ->
          Gigagate.topUp(packages, read(asked, TopUpRequest.newBuilder()).build(), timeout);
      default -> throw new IllegalArgumentException("the helper does not call " + method);
    };
  }

  private Message call(JsonObject asked) throws InvalidProtocolBufferException {
    String method = asked.get("method").getAsString();
    return switch (method) {
      case "gigagate.v1.ActivationService/Register" ->
          timed(activations, asked).register(read(asked, RegisterRequest.newBuilder()).build());
      case "gigagate.v1.ActivationService/TopUp" ->
          timed(activations, asked).topUp(read(asked, TopUpRequest.newBuilder()).build());
      case "gigagate.v1.ActivationService/Activate" ->
          timed(activations, asked).activate(read(asked, ActivateRequest.newBuilder()).build());
      case "gigagate.v1.BudgetService/GetBudget" ->
          timed(budgets, asked).getBudget(read(asked, GetBudgetRequest.newBuilder()).build());
      case "gigagate.v1.BudgetService/ListBudgets" ->
          timed(budgets, asked).listBudgets(read(asked, ListBudgetsRequest.newBuilder()).build());
      case "gigagate.v1.CustomerService/GetCustomer" ->
          timed(customers, asked).getCustomer(read(asked, GetCustomerRequest.newBuilder()).build());
      case "gigagate.v1.CustomerService/FindCustomer" ->
          timed(customers, asked).findCustomer(read(asked, FindCustomerRequest.newBuilder()).build());
      case "gigagate.v1.InventoryService/ListInventoryItems" ->
          timed(inventory, asked)
              .listInventoryItems(read(asked, ListInventoryItemsRequest.newBuilder()).build());
      case "gigagate.v1.PurchaseService/GetPurchase" ->
          timed(purchases, asked).getPurchase(read(asked, GetPurchaseRequest.newBuilder()).build());
      case "gigagate.v1.PurchaseService/ListPurchases" ->
          timed(purchases, asked)
              .listPurchases(read(asked, ListPurchasesRequest.newBuilder()).build());
      case "gigagate.v1.PurchaseService/WaitPurchase" ->
          timed(purchases, asked)
              .waitPurchase(read(asked, WaitPurchaseRequest.newBuilder()).build());
      case "gigagate.v1.PurchaseService/ResolvePurchase" ->
          timed(purchases, asked)
              .resolvePurchase(read(asked, ResolvePurchaseRequest.newBuilder()).build());
      case "gigagate.v1.FreezeService/Freeze" ->
          timed(freezes, asked).freeze(read(asked, FreezeRequest.newBuilder()).build());
      case "gigagate.v1.FreezeService/Thaw" ->
          timed(freezes, asked).thaw(read(asked, ThawRequest.newBuilder()).build());
      case "gigagate.v1.FreezeService/ListFreezes" ->
          timed(freezes, asked).listFreezes(read(asked, ListFreezesRequest.newBuilder()).build());
      case "gigagate.v1.AuditService/ListAuditRecords" ->
          timed(audit, asked)
              .listAuditRecords(read(asked, ListAuditRecordsRequest.newBuilder()).build());
      default -> throw new IllegalArgumentException("no such method: " + method);
    };
  }

  private static <S extends AbstractStub<S>> S timed(S stub, JsonObject asked) {
    JsonElement deadline = asked.get("deadlineMs");
    return deadline == null
        ? stub
        : stub.withDeadlineAfter(deadline.getAsLong(), TimeUnit.MILLISECONDS);
  }

  private static <B extends Message.Builder> B read(JsonObject asked, B builder)
      throws InvalidProtocolBufferException {
    JsonFormat.parser().merge(asked.get("request").toString(), builder);
    return builder;
  }

  private static JsonElement json(Message message) throws InvalidProtocolBufferException {
    return JsonParser.parseString(PRINTER.print(message));
  }
}
