package com.gigagate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceBlockingStub;
import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceImplBase;
import com.gigagate.v1.Effect;
import com.gigagate.v1.ErrorReason;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.rpc.ErrorInfo;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CopyOnWriteArrayList;
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

  private final ScriptedService service = new ScriptedService();
  private Server server;
  private ManagedChannel channel;
  private ActivationServiceBlockingStub stub;

  @BeforeEach
  void start() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(service)
            .build()
            .start();
    channel =
        Gigagate.channel("127.0.0.1:" + server.getPort(), InsecureChannelCredentials.create())
            .build();
    stub = ActivationServiceGrpc.newBlockingStub(channel);
  }

  @AfterEach
  void stop() throws InterruptedException {
    assertTrue(channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS));
    assertTrue(server.shutdownNow().awaitTermination(10, TimeUnit.SECONDS));
  }

  @Test
  void repeatsTheSameRequestWhileTheGatewayIsUnavailable() {
    service.errors.add(error(Code.UNAVAILABLE));
    service.errors.add(error(Code.UNAVAILABLE));

    assertEquals("purchase-1", stub.register(REQUEST).getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST, REQUEST), service.requests);
  }

  @Test
  void repeatsNothingElse() {
    service.errors.add(error(Code.INTERNAL));

    assertThrows(StatusRuntimeException.class, () -> stub.register(REQUEST));
    assertEquals(List.of(REQUEST), service.requests);
  }

  @Test
  void givesEveryCallADeadline() {
    stub.register(REQUEST);

    long seconds = service.deadlines.get(0);
    assertTrue(seconds > 90 && seconds <= 100, () -> seconds + " seconds");
  }

  @Test
  void findsTheOutcomeAmongTheDetails() {
    Any other = Any.pack(ErrorInfo.getDefaultInstance());
    service.errors.add(error(Code.FAILED_PRECONDITION, other, Any.pack(REFUSED)));

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

  private static StatusRuntimeException error(Code code, Any... details) {
    return StatusProto.toStatusRuntimeException(
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .addAllDetails(List.of(details))
            .build());
  }

  /** Answers with the errors it was given, then with a sale. */
  private static final class ScriptedService extends ActivationServiceImplBase {
    final Queue<StatusRuntimeException> errors = new ArrayDeque<>();
    final List<RegisterRequest> requests = new CopyOnWriteArrayList<>();
    final List<Long> deadlines = new CopyOnWriteArrayList<>();

    @Override
    public void register(RegisterRequest request, StreamObserver<RegisterResponse> answer) {
      requests.add(request);
      deadlines.add(Context.current().getDeadline().timeRemaining(TimeUnit.SECONDS));
      StatusRuntimeException error = errors.poll();
      if (error != null) {
        answer.onError(error);
        return;
      }
      answer.onNext(RegisterResponse.newBuilder().setPurchaseId("purchase-1").build());
      answer.onCompleted();
    }
  }
}
