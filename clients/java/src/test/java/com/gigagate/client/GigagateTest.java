package com.gigagate.client;

import static com.gigagate.client.ScriptedGateway.error;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceBlockingStub;
import com.gigagate.v1.Effect;
import com.gigagate.v1.ErrorReason;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.RegisterRequest;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.rpc.ErrorInfo;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class GigagateTest {
  private static final RegisterRequest REQUEST =
      RegisterRequest.newBuilder().setRequestId("order-1").build();
  private static final Outcome REFUSED =
      Outcome.newBuilder()
          .setReason(ErrorReason.ERROR_REASON_PRICE_MISMATCH)
          .setEffect(Effect.EFFECT_NOT_APPLIED)
          .build();

  private ScriptedGateway gateway;
  private ManagedChannel channel;
  private ActivationServiceBlockingStub stub;

  @BeforeEach
  void start() throws IOException {
    gateway = new ScriptedGateway();
    channel = Gigagate.channel(gateway.address(), InsecureChannelCredentials.create()).build();
    stub = ActivationServiceGrpc.newBlockingStub(channel);
  }

  @AfterEach
  void stop() throws InterruptedException {
    assertTrue(channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS));
    assertTrue(gateway.stop());
  }

  @Test
  void repeatsTheSameRequestWhileTheGatewayIsUnavailable() {
    gateway.errors.add(error(Code.UNAVAILABLE));
    gateway.errors.add(error(Code.UNAVAILABLE));

    assertEquals(ScriptedGateway.PURCHASE, stub.register(REQUEST).getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST, REQUEST), gateway.requests);
  }

  @Test
  void repeatsNothingElse() {
    gateway.errors.add(error(Code.INTERNAL));

    assertThrows(StatusRuntimeException.class, () -> stub.register(REQUEST));
    assertEquals(List.of(REQUEST), gateway.requests);
  }

  @Test
  void givesEveryCallADeadline() {
    stub.register(REQUEST);

    long seconds = gateway.deadlines.get(0);
    assertTrue(seconds > 90 && seconds <= 100, () -> seconds + " seconds");
  }

  @Test
  void findsTheOutcomeAmongTheDetails() {
    gateway.errors.add(error(Code.FAILED_PRECONDITION, ErrorInfo.getDefaultInstance(), REFUSED));

    StatusRuntimeException error =
        assertThrows(StatusRuntimeException.class, () -> stub.register(REQUEST));
    assertEquals(Optional.of(REFUSED), Gigagate.outcomeOf(error));
    assertEquals(Optional.of(REFUSED), Gigagate.outcomeOf(new IllegalStateException(error)));
  }

  @Test
  void findsNoOutcomeWhereThereIsNone() {
    Any unreadable =
        Any.pack(REFUSED).toBuilder().setValue(ByteString.copyFromUtf8("x")).build();
    StatusRuntimeException broken = Status.UNAVAILABLE.asRuntimeException();

    assertEquals(Optional.empty(), Gigagate.outcomeOf(new IllegalStateException()));
    assertEquals(Optional.empty(), Gigagate.outcomeOf(broken));
    assertEquals(Optional.empty(), Gigagate.outcomeOf(error(Code.UNAVAILABLE, unreadable)));
  }
}
