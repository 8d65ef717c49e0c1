package com.gigagate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.RegisterRequest;
import io.grpc.Attributes;
import io.grpc.CallCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.SecurityLevel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The scenarios use a key over TLS, against a gateway. */
class ApiKeyTest {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @Test
  void readsTheFileAtEveryCall(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("shop.key");
    ApiKey key = ApiKey.inFile(file);
    for (String text : List.of("gg_first", "gg_second")) {
      Files.writeString(file, text + "\n");
      assertEquals("Bearer " + text, sent(key).headers.get(AUTHORIZATION));
    }
    Files.delete(file);
    assertTrue(sent(key).error.getDescription().contains("cannot be read"));
  }

  @Test
  void sendsNoKeyWithoutTls() throws Exception {
    ScriptedGateway gateway = new ScriptedGateway();
    ManagedChannel channel =
        Gigagate.channel(
                gateway.address(),
                CompositeChannelCredentials.create(
                    InsecureChannelCredentials.create(), ApiKey.of("gg_secret")))
            .build();
    StatusRuntimeException error =
        assertThrows(
            StatusRuntimeException.class,
            () ->
                ActivationServiceGrpc.newBlockingStub(channel)
                    .register(RegisterRequest.getDefaultInstance()));
    assertTrue(error.getMessage().contains("only over TLS"), error::getMessage);
    assertEquals(List.of(), gateway.requests);
    assertTrue(channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS));
    assertTrue(gateway.stop());
  }

  @Test
  void doesNotTellTheKey() {
    assertFalse(ApiKey.of("gg_secret").toString().contains("secret"));
    for (String broken : List.of("", "gg_secret\n", "gg_ secret", "gg_secreté")) {
      Status error = sent(ApiKey.of(broken)).error;
      assertEquals(Status.Code.UNAUTHENTICATED, error.getCode());
      assertFalse(error.toString().contains("secret"), error::toString);
    }
  }

  private static Applier sent(ApiKey key) {
    Applier applier = new Applier();
    key.applyRequestMetadata(new Tls(), Runnable::run, applier);
    return applier;
  }

  private static final class Applier extends CallCredentials.MetadataApplier {
    private Metadata headers;
    private Status error;

    @Override
    public void apply(Metadata applied) {
      headers = applied;
    }

    @Override
    public void fail(Status status) {
      error = status;
    }
  }

  private static final class Tls extends CallCredentials.RequestInfo {
    @Override
    public MethodDescriptor<?, ?> getMethodDescriptor() {
      return ActivationServiceGrpc.getRegisterMethod();
    }

    @Override
    public SecurityLevel getSecurityLevel() {
      return SecurityLevel.PRIVACY_AND_INTEGRITY;
    }

    @Override
    public String getAuthority() {
      return "gateway";
    }

    @Override
    public Attributes getTransportAttrs() {
      return Attributes.EMPTY;
    }
  }
}
