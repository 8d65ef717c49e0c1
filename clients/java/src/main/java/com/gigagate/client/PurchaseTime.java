package com.gigagate.client;

import io.grpc.Context;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The clock of a {@link PurchaseLoop}. Tests have their own. */
interface PurchaseTime {
  PurchaseTime SYSTEM =
      new PurchaseTime() {
        @Override
        public long nanoTime() {
          return System.nanoTime();
        }

        @Override
        public boolean pause(long nanos) throws InterruptedException {
          CountDownLatch cancelled = new CountDownLatch(1);
          Context.CancellationListener listener = context -> cancelled.countDown();
          Context callers = Context.current();
          callers.addListener(listener, Runnable::run);
          try {
            return !cancelled.await(nanos, TimeUnit.NANOSECONDS);
          } finally {
            callers.removeListener(listener);
          }
        }
      };

  long nanoTime();

  /** Returns true after the pause, or false as soon as the caller's context is cancelled. */
  boolean pause(long nanos) throws InterruptedException;
}
