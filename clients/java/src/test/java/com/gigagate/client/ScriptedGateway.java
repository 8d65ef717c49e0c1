package com.gigagate.client;

import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceImplBase;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.Purchase;
import com.gigagate.v1.PurchaseServiceGrpc.PurchaseServiceImplBase;
import com.gigagate.v1.PurchaseState;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.gigagate.v1.TopUpRequest;
import com.gigagate.v1.TopUpResponse;
import com.gigagate.v1.WaitPurchaseRequest;
import com.gigagate.v1.WaitPurchaseResponse;
import com.google.protobuf.Any;
import com.google.protobuf.Message;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** Answers each paid call with the next error of a test, and with a sale when none is left. */
final class ScriptedGateway {
  static final String PURCHASE = "01JD0000000000000000000000";

  final Queue<StatusRuntimeException> errors = new ArrayDeque<>();
  final Queue<PurchaseState> states = new ArrayDeque<>();
  final List<Message> requests = new CopyOnWriteArrayList<>();
  final List<WaitPurchaseRequest> waits = new CopyOnWriteArrayList<>();

  /** The seconds that each paid call had left. */
  final List<Long> deadlines = new CopyOnWriteArrayList<>();

  /** If set, a paid call gets no answer, and this runs. */
  volatile Runnable silence;

  private final Server server;

  ScriptedGateway() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Activations())
            .addService(new Purchases())
            .build()
            .start();
  }

  String address() {
    return "127.0.0.1:" + server.getPort();
  }

  boolean stop() throws InterruptedException {
    return server.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
  }

  static StatusRuntimeException error(Code code, Message... details) {
    return StatusProto.toStatusRuntimeException(
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .setMessage("sentence")
            .addAllDetails(
                Arrays.stream(details).map(d -> d instanceof Any any ? any : Any.pack(d)).toList())
            .build());
  }

  static StatusRuntimeException error(Outcome.Builder outcome) {
    return error(Code.UNAVAILABLE, outcome.build());
  }

  private <R> void answer(Message request, R sale, StreamObserver<R> answer) {
    requests.add(request);
    deadlines.add(Context.current().getDeadline().timeRemaining(TimeUnit.SECONDS));
    if (silence != null) {
      silence.run();
      return;
    }
    StatusRuntimeException error = errors.poll();
    if (error != null) {
      answer.onError(error);
      return;
    }
    answer.onNext(sale);
    answer.onCompleted();
  }

  private final class Activations extends ActivationServiceImplBase {
    @Override
    public void register(RegisterRequest request, StreamObserver<RegisterResponse> answer) {
      answer(request, RegisterResponse.newBuilder().setPurchaseId(PURCHASE).build(), answer);
    }

    @Override
    public void topUp(TopUpRequest request, StreamObserver<TopUpResponse> answer) {
      answer(request, TopUpResponse.newBuilder().setPurchaseId(PURCHASE).build(), answer);
    }
  }

  /** Answers with the next state, and with an error when none is left. */
  private final class Purchases extends PurchaseServiceImplBase {
    @Override
    public void waitPurchase(
        WaitPurchaseRequest request, StreamObserver<WaitPurchaseResponse> answer) {
      waits.add(request);
      PurchaseState state = states.poll();
      if (state == null) {
        answer.onError(error(Code.UNAVAILABLE));
        return;
      }
      Purchase purchase = Purchase.newBuilder().setId(request.getId()).setState(state).build();
      answer.onNext(WaitPurchaseResponse.newBuilder().setPurchase(purchase).build());
      answer.onCompleted();
    }
  }
}
