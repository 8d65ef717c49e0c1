package com.gigagate.client;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.SecurityLevel;
import io.grpc.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.regex.Pattern;

/**
 * Sends an API key with every call. {@code CompositeChannelCredentials} adds it to the credentials
 * of a channel. Over a channel without TLS, calls fail and nothing is sent.
 */
public final class ApiKey extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Pattern VALID = Pattern.compile("[!-~]+");

  private final Source source;

  private interface Source {
    String read() throws IOException;
  }

  private ApiKey(Source source) {
    this.source = source;
  }

  /** Sends this key. */
  public static ApiKey of(String key) {
    return new ApiKey(() -> key);
  }

  /**
   * Sends the key in a file. The file is read at every call, so a new key needs no restart. Replace
   * the file in one step ({@code mv}).
   */
  public static ApiKey inFile(Path file) {
    return new ApiKey(() -> Files.readString(file).trim());
  }

  @Override
  public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
    if (info.getSecurityLevel() != SecurityLevel.PRIVACY_AND_INTEGRITY) {
      applier.fail(unusable("an API key is sent only over TLS"));
      return;
    }
    executor.execute(() -> apply(applier));
  }

  private void apply(MetadataApplier applier) {
    String key;
    try {
      key = source.read();
    } catch (IOException e) {
      applier.fail(unusable("the file with the API key cannot be read").withCause(e));
      return;
    }
    if (!VALID.matcher(key).matches()) {
      applier.fail(unusable("the API key is empty, or has characters that no key has"));
      return;
    }
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + key);
    applier.apply(headers);
  }

  private static Status unusable(String why) {
    return Status.UNAUTHENTICATED.withDescription(why);
  }
}
