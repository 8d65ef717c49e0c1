package com.example.shop

import com.gigagate.client.Gigagate
import com.gigagate.v1.ActivationMode
import com.gigagate.v1.ActivationServiceGrpc
import com.gigagate.v1.Effect
import com.gigagate.v1.ErrorReason
import com.gigagate.v1.Money
import com.gigagate.v1.Outcome
import com.gigagate.v1.PurchaseServiceGrpc
import com.gigagate.v1.RegisterRequest
import com.gigagate.v1.RegisterResponse
import com.gigagate.v1.WaitPurchaseRequest
import com.google.protobuf.Duration
import io.grpc.Channel
import io.grpc.InsecureChannelCredentials
import io.grpc.StatusRuntimeException
import java.time.Instant
import java.util.UUID
import java.util.concurrent.TimeUnit
import kotlin.jvm.optionals.getOrNull
import kotlin.system.exitProcess

/**
 * Buys a package as a service would: one intent, one request id, and an error read by what it did
 * and not by its code.
 *
 * Arguments, both optional: the retail price that the customer was shown, in US dollars; how many
 * seconds the customer is kept waiting.
 */
fun main(args: Array<String>) {
    val price = args.getOrElse(0) { "9.99" }
    val patience = args.getOrElse(1) { "90" }.toLong()
    val address = System.getenv("GIGAGATE_ADDRESS") ?: "127.0.0.1:9090"

    // The id of the intent. A real service makes it once and stores it with the order before the
    // first send, so that every later send bears the same id, also after a crash.
    val requestId = "order-${UUID.randomUUID()}"
    println("request id $requestId")
    val request =
        RegisterRequest.newBuilder()
            .setRequestId(requestId)
            .setInventoryItemId("6513270e-269e-4d37-b2a7-4de452e6b438")
            .setMetatag("a text of yours, for instance $requestId")
            .setUserIp("203.0.113.24")
            .setUserCountry("GR")
            .setExpectedPrice(Money.newBuilder().setCurrencyCode("USD").setAmount(price))
            .setActivationMode(ActivationMode.ACTIVATION_MODE_FIRST_USE)
            .build()

    val channel = Gigagate.channel(address, InsecureChannelCredentials.create()).build()
    val exit =
        try {
            val sold = buy(channel, patience, request)
            println("sold ${sold.activatedItem.uid} to customer ${sold.customer.uid}")
            with(sold.activatedItem.balance) {
                if (hasActivationDeadline()) {
                    println("not started; starts by itself at ${Instant.ofEpochSecond(activationDeadline.seconds)}")
                }
            }
            0
        } catch (e: StatusRuntimeException) {
            println(e.message)
            println(whatNow(Gigagate.outcomeOf(e).getOrNull()))
            1
        } finally {
            channel.shutdownNow()
        }
    exitProcess(exit)
}

/**
 * Waits once more for a purchase that is not settled when the customer's patience is over. A real
 * service does that in the background, with the request id it has stored.
 */
private fun buy(channel: Channel, patience: Long, request: RegisterRequest): RegisterResponse {
    val activations = ActivationServiceGrpc.newBlockingStub(channel)
    val purchases = PurchaseServiceGrpc.newBlockingStub(channel)
    try {
        return activations.withDeadlineAfter(patience, TimeUnit.SECONDS).register(request)
    } catch (e: StatusRuntimeException) {
        val outcome = Gigagate.outcomeOf(e).getOrNull() ?: throw e
        if (outcome.reason != ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN || outcome.purchaseId.isEmpty()) {
            throw e
        }
        println("not settled yet, waiting for purchase ${outcome.purchaseId}")
        val waited =
            try {
                purchases.waitPurchase(
                    WaitPurchaseRequest.newBuilder()
                        .setId(outcome.purchaseId)
                        .setTimeout(Duration.newBuilder().setSeconds(60))
                        .build()
                )
            } catch (_: StatusRuntimeException) {
                throw e // what is known of the purchase is still what the first error told
            }
        println("now it is ${waited.purchase.state}")
        // The same request id buys nothing more: it tells what became of the purchase.
        return activations.register(request)
    }
}

private fun whatNow(outcome: Outcome?): String {
    if (outcome?.reason == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED) {
        // The effect is that of the other order.
        return "the request id stands for another order: this one was not bought"
    }
    return when (outcome?.effect) {
        Effect.EFFECT_NOT_STARTED ->
            "this send started nothing, an earlier one may have bought: " +
                "mend the request or repeat it, with the same request id"
        Effect.EFFECT_NOT_APPLIED -> "nothing was bought: ${outcome.reason}"
        Effect.EFFECT_APPLIED -> "it was bought, as purchase ${outcome.purchaseId}"
        // INDETERMINATE, and every error without an Outcome: a broken connection, a proxy's page.
        else -> "it may have been bought: keep the request id, and do not buy under a new one"
    }
}
