//! What tonic says if no answer of the gateway comes, and what the purchase helper makes of it.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;
use std::time::Duration;

use gigagate_client::v1::inventory_service_client::InventoryServiceClient;
use gigagate_client::v1::{Effect, ListInventoryItemsRequest, Outcome, RegisterRequest};
use gigagate_client::{PurchaseError, is_connection_loss, register};
use prost::Message;
use prost_types::Any;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

#[derive(PartialEq)]
enum Then {
    Break,
    BeSilent,
}

// Frames of HTTP/2: length, type, flags, stream, payload.
const HEADERS: u8 = 1;
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// `:status: 200`
const STATUS_200: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
/// `:status: 200`, `grpc-status: 14`, and nothing more
const UNAVAILABLE: &[u8] = b"\0\0\x11\x01\x05\0\0\0\x01\x88\0\x0bgrpc-status\x0214";

/// Serves one call: answers with these bytes, and with nothing more.
fn serve(answer: &'static [u8], then: Then) -> String {
    serve_each([(answer.to_vec(), then)])
}

/// Serves one call on each connection.
fn serve_each<const N: usize>(answers: [(Vec<u8>, Then); N]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || -> Result<()> {
        for (answer, then) in answers {
            let (mut stream, _) = listener.accept()?;
            stream.write_all(SETTINGS)?;
            stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()])?;
            let mut frame = [0; 9];
            while frame[3] != HEADERS {
                stream.read_exact(&mut frame)?;
                let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
                stream.read_exact(&mut vec![0; length as usize])?;
            }
            stream.write_all(&answer)?;
            if then == Then::Break {
                stream.shutdown(Shutdown::Write)?;
            }
            stream.read_to_end(&mut Vec::new())?; // until the client ends it
        }
        Ok(())
    });
    address.to_string()
}

/// The headers that end a call with `FAILED_PRECONDITION` and an outcome.
fn refusal(outcome: Outcome) -> Vec<u8> {
    let status = tonic_types::pb::Status {
        code: Code::FailedPrecondition as i32,
        details: vec![Any {
            type_url: "type.googleapis.com/gigagate.v1.Outcome".into(),
            value: outcome.encode_to_vec(),
        }],
        ..Default::default()
    };
    let error = Status::with_details(Code::FailedPrecondition, "", status.encode_to_vec().into());
    let mut fields = vec![0x88];
    for (name, value) in error.into_http::<()>().headers() {
        fields.extend([0, name.as_str().len() as u8]);
        fields.extend(name.as_str().as_bytes());
        fields.push(value.len() as u8);
        fields.extend(value.as_bytes());
    }
    let mut frame = vec![0, 0, fields.len() as u8, HEADERS, 5, 0, 0, 0, 1];
    frame.extend(fields);
    frame
}

fn connect(address: String) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

async fn call(address: String, timeout: Duration) -> Status {
    let mut request = Request::new(ListInventoryItemsRequest::default());
    request.set_timeout(timeout);
    InventoryServiceClient::new(connect(address))
        .list_inventory_items(request)
        .await
        .unwrap_err()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn broken_under_the_call_is_a_loss() {
    let error = call(serve(&[], Then::Break), LONG).await;
    assert_eq!(error.code(), Code::Unknown);
    assert!(is_connection_loss(&error), "{error:?}");
}

#[tokio::test]
async fn broken_under_the_answer_is_a_loss() {
    let error = call(serve(STATUS_200, Then::Break), LONG).await;
    assert!(is_connection_loss(&error), "{error:?}");
}

#[tokio::test]
async fn never_made_is_a_loss() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let error = call(address, LONG).await;
    assert_eq!(error.code(), Code::Unavailable);
    assert!(is_connection_loss(&error), "{error:?}");
}

#[tokio::test]
async fn a_timeout_is_none() {
    let silent = serve(&[], Then::BeSilent);
    let error = call(silent, Duration::from_millis(100)).await;
    assert!(!is_connection_loss(&error), "{error:?}");
}

#[tokio::test]
async fn what_the_gateway_tells_is_none() {
    let error = call(serve(UNAVAILABLE, Then::BeSilent), LONG).await;
    assert_eq!(error.code(), Code::Unavailable);
    assert!(!is_connection_loss(&error), "{error:?}");
}

/// A channel sends a call once, so the helper sees each send that ends without an outcome.
#[tokio::test]
async fn a_broken_send_leaves_the_purchase_in_doubt() {
    let not_started = refusal(Outcome {
        effect: Effect::NotStarted.into(),
        ..Default::default()
    });
    let not_applied = refusal(Outcome {
        effect: Effect::NotApplied.into(),
        ..Default::default()
    });
    let address = serve_each([
        (vec![], Then::Break),
        (not_started, Then::Break),
        (not_applied, Then::BeSilent),
    ]);
    let request = RegisterRequest {
        request_id: "order-1".into(),
        ..Default::default()
    };
    match register(connect(address), request, None).await {
        Err(PurchaseError::Refused(refused)) => assert_eq!(refused.effect, "NOT_APPLIED"),
        other => panic!("{other:?}"),
    }
}
