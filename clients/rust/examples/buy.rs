//! Buys a package as a service would.

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use gigagate_client::tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use gigagate_client::v1::{ActivationMode, Money, RegisterRequest, RegisterResponse};
use gigagate_client::{PurchaseError, Refused, Transport, connect_with_key_file, register};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut options = HashMap::from([
        // A real service makes the request id once and stores it with the order before it buys. A
        // later attempt uses the same id, also after a crash.
        ("--request-id", format!("order-{}", uuid::Uuid::new_v4())),
        ("--item", "6513270e-269e-4d37-b2a7-4de452e6b438".into()),
        // The retail price that the customer was shown, in US dollars.
        ("--price", "9.99".into()),
        // How many seconds the customer waits.
        ("--patience", "90".into()),
    ]);
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        match (options.get_mut(name.as_str()), arguments.next()) {
            (Some(option), Some(value)) => *option = value,
            _ => return Err(format!("not an option with a value: {name}").into()),
        }
    }
    let address = env::var("GIGAGATE_ADDRESS").unwrap_or("127.0.0.1:9090".into());

    let request_id = &options["--request-id"];
    println!("request id {request_id}");
    let request = RegisterRequest {
        request_id: request_id.clone(),
        inventory_item_id: options["--item"].clone(),
        metatag: format!("any text, for example {request_id}"),
        user_ip: "203.0.113.24".into(),
        user_country: "GR".into(),
        expected_price: Some(Money {
            currency_code: "USD".into(),
            amount: options["--price"].clone(),
        }),
        activation_mode: ActivationMode::FirstUse.into(),
        ..Default::default()
    };
    let patience = Duration::from_secs(options["--patience"].parse()?);

    // TLS with an API key. A gateway on this machine may do without both.
    let Ok(authority) = env::var("GIGAGATE_TLS_CA") else {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        return Ok(buy(endpoint.connect_lazy(), request, patience).await);
    };
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(authority)?));
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
    let channel = connect_with_key_file(endpoint, env::var("GIGAGATE_API_KEY_FILE")?)?;
    Ok(buy(channel, request, patience).await)
}

async fn buy<T: Transport>(channel: T, request: RegisterRequest, patience: Duration) -> ExitCode {
    let request_id = request.request_id.clone();
    match register(channel, request, Some(patience)).await {
        Ok(sale) => {
            show(sale);
            return ExitCode::SUCCESS;
        }
        Err(PurchaseError::Refused(refused)) => {
            println!("{refused}");
            println!("{}", what_now(&refused));
        }
        Err(error) => {
            println!("{error}");
            println!("ask again later with --request-id {request_id}");
        }
    }
    ExitCode::FAILURE
}

fn what_now(refused: &Refused) -> String {
    match (refused.reason.as_str(), refused.effect.as_str()) {
        ("REQUEST_ID_REUSED", _) => {
            "the request id stands for another order: this one was not bought".into()
        }
        ("UNAUTHENTICATED", _) => {
            "the credential is wrong: correct it, and ask again with the same request id".into()
        }
        (_, "NOT_APPLIED") => "nothing was bought: a new request id buys anew".into(),
        (_, "NOT_STARTED") => {
            "nothing was started: correct the order or repeat it, with the same request id".into()
        }
        _ => format!("it was sold, as purchase {}", refused.outcome.purchase_id),
    }
}

fn show(sale: RegisterResponse) {
    let item = sale.activated_item.unwrap_or_default();
    let customer = sale.customer.unwrap_or_default();
    println!("sold {} to customer {}", item.uid, customer.uid);
    if let Some(deadline) = item.balance.unwrap_or_default().activation_deadline {
        println!("not started; starts by itself at {deadline}");
    }
}
