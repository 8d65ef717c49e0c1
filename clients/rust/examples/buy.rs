//! Buys a package as a service would: one intent, one request id, and an error read by what it did
//! and not by its code.
//!
//! Arguments, both optional: the retail price that the customer was shown, in US dollars; how many
//! seconds the customer is kept waiting.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gigagate_client::tonic::transport::{Channel, Endpoint};
use gigagate_client::tonic::{Code, Request, Status};
use gigagate_client::v1::activation_service_client::ActivationServiceClient;
use gigagate_client::v1::purchase_service_client::PurchaseServiceClient;
use gigagate_client::v1::{
    ActivationMode, Effect, ErrorReason, Money, Outcome, RegisterRequest, RegisterResponse,
    WaitPurchaseRequest,
};
use gigagate_client::{is_connection_loss, outcome_of};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let price = arguments.next().unwrap_or("9.99".into());
    let patience = Duration::from_secs(arguments.next().unwrap_or("90".into()).parse()?);
    let address = std::env::var("GIGAGATE_ADDRESS").unwrap_or("127.0.0.1:9090".into());

    // The id of the intent. A real service makes it once and stores it with the order before the
    // first send, so that every later send bears the same id, also after a crash.
    let request_id = format!("order-{}", uuid::Uuid::new_v4());
    println!("request id {request_id}");
    let request = RegisterRequest {
        metatag: format!("a text of yours, for instance {request_id}"),
        request_id,
        inventory_item_id: "6513270e-269e-4d37-b2a7-4de452e6b438".into(),
        user_ip: "203.0.113.24".into(),
        user_country: "GR".into(),
        expected_price: Some(Money {
            currency_code: "USD".into(),
            amount: price,
        }),
        activation_mode: ActivationMode::FirstUse.into(),
        ..Default::default()
    };

    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    match buy(channel, patience, request).await {
        Ok(sold) => {
            let item = sold.activated_item.unwrap_or_default();
            let customer = sold.customer.unwrap_or_default();
            println!("sold {} to customer {}", item.uid, customer.uid);
            if let Some(deadline) = item.balance.unwrap_or_default().activation_deadline {
                println!("not started; starts by itself at {deadline}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("{:?}: {}", error.code(), error.message());
            println!("{}", what_now(outcome_of(&error)));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Waits once more for a purchase that is not settled when the customer's patience is over. A real
/// service does that in the background, with the request id it has stored.
async fn buy(
    channel: Channel,
    patience: Duration,
    request: RegisterRequest,
) -> Result<RegisterResponse, Status> {
    let mut activations = ActivationServiceClient::new(channel.clone());
    let mut purchases = PurchaseServiceClient::new(channel);

    let error = match register(&mut activations, patience, &request).await {
        Ok(sold) => return Ok(sold),
        Err(error) => error,
    };
    let id = match outcome_of(&error) {
        Some(outcome) if outcome.reason() == ErrorReason::OutcomeUnknown => outcome.purchase_id,
        _ => return Err(error),
    };
    println!("not settled yet, waiting for purchase {id}");
    let timeout = Duration::from_secs(60).try_into().ok();
    let Ok(waited) = purchases
        .wait_purchase(WaitPurchaseRequest { id, timeout })
        .await
    else {
        return Err(error); // what is known of the purchase is still what the first error told
    };
    let purchase = waited.into_inner().purchase.unwrap_or_default();
    println!("now it is {}", purchase.state().as_str_name());
    // The same request id buys nothing more: it tells what became of the purchase.
    register(&mut activations, patience, &request).await
}

/// Sends the same request, and so the same request id, again while the gateway is unavailable, and
/// when the connection breaks. The numbers are those of the contract's service config, which tonic
/// does not read.
async fn register(
    activations: &mut ActivationServiceClient<Channel>,
    patience: Duration,
    request: &RegisterRequest,
) -> Result<RegisterResponse, Status> {
    let deadline = Instant::now() + patience;
    let mut backoff = Duration::from_millis(200);
    for _ in 1..5 {
        let error = match send(activations, deadline, request).await {
            Err(error) if error.code() == Code::Unavailable || is_connection_loss(&error) => error,
            settled => return settled,
        };
        let Some(pause) = pause_before_retry(&error, backoff) else {
            return Err(error);
        };
        if Instant::now() + pause >= deadline {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        backoff = (backoff * 2).min(Duration::from_secs(5));
    }
    send(activations, deadline, request).await
}

async fn send(
    activations: &mut ActivationServiceClient<Channel>,
    deadline: Instant,
    request: &RegisterRequest,
) -> Result<RegisterResponse, Status> {
    let mut call = Request::new(request.clone());
    call.set_timeout(deadline.saturating_duration_since(Instant::now()));
    Ok(activations.register(call).await?.into_inner())
}

/// The gateway may ask for another pause, or, with a negative one, not to send again in this call.
fn pause_before_retry(error: &Status, backoff: Duration) -> Option<Duration> {
    match error.metadata().get("grpc-retry-pushback-ms") {
        None => Some(backoff),
        Some(asked) => Some(Duration::from_millis(asked.to_str().ok()?.parse().ok()?)),
    }
}

fn what_now(outcome: Option<Outcome>) -> String {
    // No Outcome (a broken connection, a proxy's page) says as little as Indeterminate does.
    let outcome = outcome.unwrap_or_default();
    if outcome.reason() == ErrorReason::RequestIdReused {
        // The effect is that of the other order.
        return "the request id stands for another order: this one was not bought".into();
    }
    match outcome.effect() {
        Effect::NotStarted => "this send started nothing, an earlier one may have bought: \
             mend the request or repeat it, with the same request id"
            .into(),
        Effect::NotApplied => format!("nothing was bought: {}", outcome.reason().as_str_name()),
        Effect::Applied => format!("it was bought, as purchase {}", outcome.purchase_id),
        Effect::Indeterminate | Effect::Unspecified => {
            "it may have been bought: keep the request id, and do not buy under a new one".into()
        }
    }
}
