package com.example.shop

import com.gigagate.client.Gigagate
import com.gigagate.client.NotKnownYet
import com.gigagate.client.Refused
import com.gigagate.v1.ActivationMode
import com.gigagate.v1.Money
import com.gigagate.v1.RegisterRequest
import com.gigagate.v1.RegisterResponse
import io.grpc.Channel
import io.grpc.InsecureChannelCredentials
import java.time.Duration
import java.time.Instant
import java.util.UUID
import kotlin.system.exitProcess

/** Buys a package as a service would. */
fun main(args: Array<String>) {
    val options =
        mutableMapOf(
            // A real service makes the request id once and stores it with the order before it buys. A
            // later attempt uses the same id, also after a crash.
            "--request-id" to "order-${UUID.randomUUID()}",
            "--item" to "6513270e-269e-4d37-b2a7-4de452e6b438",
            // The retail price that the customer was shown, in US dollars.
            "--price" to "9.99",
            // How many seconds the customer waits.
            "--patience" to "90",
        )
    for (option in args.toList().chunked(2)) {
        if (option.size < 2 || options.replace(option[0], option[1]) == null) {
            System.err.println("not an option with a value: ${option[0]}")
            exitProcess(2)
        }
    }
    val address = System.getenv("GIGAGATE_ADDRESS") ?: "127.0.0.1:9090"

    val requestId = options.getValue("--request-id")
    println("request id $requestId")
    val request =
        RegisterRequest.newBuilder()
            .setRequestId(requestId)
            .setInventoryItemId(options["--item"])
            .setMetatag("any text, for example $requestId")
            .setUserIp("203.0.113.24")
            .setUserCountry("GR")
            .setExpectedPrice(Money.newBuilder().setCurrencyCode("USD").setAmount(options["--price"]))
            .setActivationMode(ActivationMode.ACTIVATION_MODE_FIRST_USE)
            .build()
    val patience = Duration.ofSeconds(options.getValue("--patience").toLong())

    val channel = Gigagate.channel(address, InsecureChannelCredentials.create()).build()
    val sold = buy(channel, request, patience)
    channel.shutdownNow()
    exitProcess(if (sold) 0 else 1)
}

private fun buy(channel: Channel, request: RegisterRequest, patience: Duration): Boolean {
    try {
        show(Gigagate.register(channel, request, patience))
        return true
    } catch (e: Refused) {
        println("refused: ${e.reason}, ${e.effect}: ${e.message}")
        println(whatNow(e))
    } catch (e: NotKnownYet) {
        println(e.message)
        println("ask again later with --request-id ${request.requestId}")
    }
    return false
}

private fun whatNow(refused: Refused) =
    when {
        refused.reason == "REQUEST_ID_REUSED" -> "the request id stands for another order: this one was not bought"
        refused.reason == "UNAUTHENTICATED" ->
            "the credential is wrong: correct it, and ask again with the same request id"
        refused.effect == "NOT_APPLIED" -> "nothing was bought: a new request id buys anew"
        refused.effect == "NOT_STARTED" ->
            "nothing was started: correct the order or repeat it, with the same request id"
        else -> "it was sold, as purchase ${refused.purchaseId}"
    }

private fun show(sale: RegisterResponse) {
    println("sold ${sale.activatedItem.uid} to customer ${sale.customer.uid}")
    with(sale.activatedItem.balance) {
        if (hasActivationDeadline()) {
            println("not started; starts by itself at ${Instant.ofEpochSecond(activationDeadline.seconds)}")
        }
    }
}
