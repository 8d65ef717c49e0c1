//! Makes the calls that `internal/scenarios` asks for, one JSON object a line, as
//! `proto/scenarios/README.md` describes.

use std::env::var;
use std::error::Error;
use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Duration;

use gigagate_client::v1::activation_service_client::ActivationServiceClient;
use gigagate_client::v1::audit_service_client::AuditServiceClient;
use gigagate_client::v1::budget_service_client::BudgetServiceClient;
use gigagate_client::v1::customer_service_client::CustomerServiceClient;
use gigagate_client::v1::freeze_service_client::FreezeServiceClient;
use gigagate_client::v1::inventory_service_client::InventoryServiceClient;
use gigagate_client::v1::purchase_service_client::PurchaseServiceClient;
use gigagate_client::{
    PurchaseError, Transport, connect_with_key_file, outcome_of, register, top_up,
};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    request: Value,
    deadline_ms: Option<u64>,
    #[serde(default)]
    helper: bool,
}

impl Asked {
    fn deadline(&self) -> Option<Duration> {
        self.deadline_ms.map(Duration::from_millis)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).ok_or("no address given")?;
    let (endpoint, key_file) = security(&address)?;
    match key_file {
        Some(path) => serve(connect_with_key_file(endpoint, path)?).await,
        None => serve(endpoint.connect_lazy()).await,
    }
}

/// TLS and the file with the API key that the environment names.
fn security(address: &str) -> Result<(Endpoint, Option<String>)> {
    let Ok(authorities) = var("GIGAGATE_TLS_CA") else {
        return Ok((Endpoint::from_shared(format!("http://{address}"))?, None));
    };
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(authorities)?));
    if let (Ok(certificate), Ok(key)) = (
        var("GIGAGATE_CLIENT_TLS_CERT"),
        var("GIGAGATE_CLIENT_TLS_KEY"),
    ) {
        tls = tls.identity(Identity::from_pem(fs::read(certificate)?, fs::read(key)?));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
    Ok((endpoint, var("GIGAGATE_API_KEY_FILE").ok()))
}

/// Answers each line of the input.
async fn serve<T: Transport>(channel: T) -> Result<()> {
    let contract =
        DescriptorPool::decode(tonic::include_file_descriptor_set!("gigagate").as_ref())?;
    for line in stdin().lock().lines() {
        let answer = answer(&contract, &channel, serde_json::from_str(&line?)?).await?;
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

async fn answer<T: Transport>(
    contract: &DescriptorPool,
    channel: &T,
    asked: Asked,
) -> Result<Value> {
    let method = contract
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .find(|method| {
            format!("{}/{}", method.parent_service().full_name(), method.name()) == asked.method
        })
        .ok_or("no such method")?;
    macro_rules! call {
        ($client:ident, $method:ident) => {
            exchange(&method, &asked, async |request| {
                $client::new(channel.clone()).$method(request).await
            })
            .await
        };
    }
    macro_rules! buy {
        ($helper:ident) => {{
            let request = read(&method, &asked)?;
            bought(
                &method,
                $helper(channel.clone(), request, asked.deadline()).await,
            )
        }};
    }
    match method.full_name() {
        "gigagate.v1.ActivationService.Register" if asked.helper => buy!(register),
        "gigagate.v1.ActivationService.TopUp" if asked.helper => buy!(top_up),
        "gigagate.v1.ActivationService.Register" => call!(ActivationServiceClient, register),
        "gigagate.v1.ActivationService.TopUp" => call!(ActivationServiceClient, top_up),
        "gigagate.v1.ActivationService.Activate" => call!(ActivationServiceClient, activate),
        "gigagate.v1.BudgetService.GetBudget" => call!(BudgetServiceClient, get_budget),
        "gigagate.v1.BudgetService.ListBudgets" => call!(BudgetServiceClient, list_budgets),
        "gigagate.v1.CustomerService.GetCustomer" => call!(CustomerServiceClient, get_customer),
        "gigagate.v1.CustomerService.FindCustomer" => call!(CustomerServiceClient, find_customer),
        "gigagate.v1.InventoryService.ListInventoryItems" => {
            call!(InventoryServiceClient, list_inventory_items)
        }
        "gigagate.v1.PurchaseService.GetPurchase" => call!(PurchaseServiceClient, get_purchase),
        "gigagate.v1.PurchaseService.ListPurchases" => call!(PurchaseServiceClient, list_purchases),
        "gigagate.v1.PurchaseService.WaitPurchase" => call!(PurchaseServiceClient, wait_purchase),
        "gigagate.v1.PurchaseService.ResolvePurchase" => {
            call!(PurchaseServiceClient, resolve_purchase)
        }
        "gigagate.v1.FreezeService.Freeze" => call!(FreezeServiceClient, freeze),
        "gigagate.v1.FreezeService.Thaw" => call!(FreezeServiceClient, thaw),
        "gigagate.v1.FreezeService.ListFreezes" => call!(FreezeServiceClient, list_freezes),
        "gigagate.v1.AuditService.ListAuditRecords" => {
            call!(AuditServiceClient, list_audit_records)
        }
        other => Err(format!("this program cannot call {other}").into()),
    }
}

async fn exchange<Q, A>(
    method: &MethodDescriptor,
    asked: &Asked,
    send: impl AsyncFnOnce(Request<Q>) -> std::result::Result<Response<A>, Status>,
) -> Result<Value>
where
    Q: prost::Message + Default,
    A: prost::Message,
{
    let mut request = Request::new(read::<Q>(method, asked)?);
    if let Some(deadline) = asked.deadline() {
        request.set_timeout(deadline);
    }
    match send(request).await {
        Ok(response) => Ok(json!({
            "replayed": response.metadata().get("gigagate-replayed").is_some_and(|v| v == "true"),
            "response": to_json(method.output(), response.get_ref())?,
        })),
        Err(error) => {
            let descriptor = method
                .parent_pool()
                .get_message_by_name("gigagate.v1.Outcome")
                .ok_or("the contract has no Outcome")?;
            let outcome = outcome_of(&error)
                .map(|outcome| to_json(descriptor, &outcome))
                .transpose()?;
            Ok(json!({"error": {
                "code": canonical_name(error.code()),
                "message": error.message(),
                "outcome": outcome,
            }}))
        }
    }
}

fn read<Q>(method: &MethodDescriptor, asked: &Asked) -> Result<Q>
where
    Q: prost::Message + Default,
{
    let message = DynamicMessage::deserialize(method.input(), &asked.request)?;
    Ok(message.transcode_to()?)
}

/// The answer of the purchase helper.
fn bought(
    method: &MethodDescriptor,
    sale: std::result::Result<impl prost::Message, PurchaseError>,
) -> Result<Value> {
    match sale {
        Ok(sale) => Ok(json!({"response": to_json(method.output(), &sale)?})),
        Err(PurchaseError::Refused(refused)) => {
            let violations: Vec<Value> = refused
                .outcome
                .field_violations
                .iter()
                .map(|v| json!({"field": v.field, "description": v.description}))
                .collect();
            Ok(json!({"refused": {
                "reason": refused.reason,
                "effect": refused.effect,
                "message": refused.message,
                "purchaseId": refused.outcome.purchase_id,
                "fieldViolations": violations,
            }}))
        }
        Err(PurchaseError::NotKnownYet { purchase_id, .. }) => {
            Ok(json!({"notKnownYet": {"purchaseId": purchase_id}}))
        }
        Err(error) => Err(error.into()),
    }
}

fn to_json(descriptor: MessageDescriptor, message: &impl prost::Message) -> Result<Value> {
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message)?;
    Ok(serde_json::to_value(dynamic)?)
}

/// `FailedPrecondition` is `FAILED_PRECONDITION`.
fn canonical_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
