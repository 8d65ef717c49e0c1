//! The purchase helper, against a gateway that answers by script. The gateway is a transport in
//! memory, so that the clock can stand still but for the helper's own pauses.

use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use gigagate_client::v1::{
    Effect, ErrorReason, FieldViolation, Outcome, Purchase, PurchaseState, RegisterRequest,
    RegisterResponse, TopUpRequest, TopUpResponse, WaitPurchaseRequest, WaitPurchaseResponse,
};
use gigagate_client::{PurchaseError, Refused, register, top_up};
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_types::Any;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{Bytes, Service};
use tonic::{Code, Status};

const PURCHASE: &str = "01JD0000000000000000000000";

/// Answers paid calls with the script's lines, then with a sale. Answers waits with the states, then
/// with an error.
#[derive(Clone, Default)]
struct Gateway(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    lines: VecDeque<Line>,
    states: VecDeque<PurchaseState>,
    requests: Vec<RegisterRequest>,
    /// When each paid call came, and how long its deadline was then.
    sends: Vec<(Instant, Duration)>,
    waits: Vec<WaitPurchaseRequest>,
}

enum Line {
    /// The gateway's error.
    Answer(Status),
    /// An error that the transport makes.
    Broken(Status),
    Silence,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gateway = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let message = body.collect().await?.to_bytes().slice(5..);
            let purchase_id = PURCHASE.to_string();
            let sale = match head.uri.path() {
                "/gigagate.v1.PurchaseService/WaitPurchase" => {
                    let mut script = gateway.lock().unwrap();
                    script.waits.push(WaitPurchaseRequest::decode(message)?);
                    let Some(state) = script.states.pop_front() else {
                        return Ok(Status::unavailable("no state").into_http());
                    };
                    let purchase = Some(Purchase {
                        state: state.into(),
                        ..Default::default()
                    });
                    return Ok(answer(&WaitPurchaseResponse { purchase }));
                }
                "/gigagate.v1.ActivationService/Register" => answer(&RegisterResponse {
                    purchase_id,
                    ..Default::default()
                }),
                "/gigagate.v1.ActivationService/TopUp" => answer(&TopUpResponse {
                    purchase_id,
                    ..Default::default()
                }),
                other => panic!("no call {other}"),
            };
            let line = {
                let mut script = gateway.lock().unwrap();
                let deadline = duration(head.headers["grpc-timeout"].to_str()?);
                script.sends.push((Instant::now(), deadline));
                // A TopUpRequest has its request id in the same field.
                script.requests.push(RegisterRequest::decode(message)?);
                script.lines.pop_front()
            };
            match line {
                None => Ok(sale),
                Some(Line::Answer(error)) => Ok(error.into_http()),
                Some(Line::Broken(error)) => Err(error.into()),
                Some(Line::Silence) => pending().await,
            }
        })
    }
}

fn answer(message: &impl Message) -> Response<Body> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend((bytes.len() as u32).to_be_bytes());
    frame.extend(bytes);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok(trailers)) });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .unwrap()
}

/// Reads a `grpc-timeout`.
fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number = number.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        _ => panic!("timeout {text}"),
    }
}

fn told(outcome: Outcome) -> Line {
    let status = tonic_types::pb::Status {
        code: Code::Unavailable as i32,
        message: "sentence".into(),
        details: vec![Any {
            type_url: "type.googleapis.com/gigagate.v1.Outcome".into(),
            value: outcome.encode_to_vec(),
        }],
    };
    Line::Answer(Status::with_details(
        Code::Unavailable,
        "sentence",
        status.encode_to_vec().into(),
    ))
}

fn effect(effect: Effect) -> Outcome {
    Outcome {
        effect: effect.into(),
        ..Default::default()
    }
}

fn after(seconds: i64, outcome: Outcome) -> Outcome {
    let retry_delay = Some(prost_types::Duration { seconds, nanos: 0 });
    Outcome {
        retry_delay,
        ..outcome
    }
}

fn unknown() -> Outcome {
    Outcome {
        purchase_id: PURCHASE.into(),
        ..effect(Effect::Indeterminate)
    }
}

fn request() -> RegisterRequest {
    RegisterRequest {
        request_id: "order-1".into(),
        metatag: "first".into(),
        ..Default::default()
    }
}

fn gateway(lines: impl IntoIterator<Item = Line>) -> Gateway {
    let gateway = Gateway::default();
    gateway.0.lock().unwrap().lines = lines.into_iter().collect();
    gateway
}

impl Gateway {
    fn with_states(self, states: impl IntoIterator<Item = PurchaseState>) -> Self {
        self.0.lock().unwrap().states = states.into_iter().collect();
        self
    }

    /// Buys with the default timeout, and checks that all sends were the same and shared the time.
    async fn buy(&self) -> Result<RegisterResponse, PurchaseError> {
        let began = Instant::now();
        // Spawned, because services need a future that is Send.
        let bought = tokio::spawn(register(self.clone(), request(), None)).await;
        let script = self.0.lock().unwrap();
        assert!(script.requests.iter().all(|sent| *sent == request()));
        for (at, deadline) in &script.sends {
            let left = (began + Duration::from_secs(100)).duration_since(*at);
            assert!(left - *deadline < Duration::from_millis(1), "{deadline:?}");
        }
        bought.unwrap()
    }

    async fn sells(&self) {
        assert_eq!(self.buy().await.unwrap().purchase_id, PURCHASE);
    }

    async fn refuses(&self) -> Refused {
        match self.buy().await {
            Err(PurchaseError::Refused(refused)) => *refused,
            other => panic!("{other:?}"),
        }
    }

    async fn does_not_know(&self) -> (String, Status) {
        match self.buy().await {
            Err(PurchaseError::NotKnownYet { purchase_id, cause }) => (purchase_id, cause),
            other => panic!("{other:?}"),
        }
    }

    /// The pauses between the sends, which have a jitter of up to a tenth.
    fn paused(&self, seconds: &[u64]) {
        let script = self.0.lock().unwrap();
        let pauses: Vec<Duration> = script
            .sends
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect();
        assert_eq!(pauses.len(), seconds.len(), "{pauses:?}");
        for (pause, seconds) in pauses.iter().zip(seconds) {
            let least = Duration::from_secs(*seconds);
            // The clock of tokio has milliseconds.
            let most = least.mul_f64(1.1) + Duration::from_millis(2);
            assert!(*pause >= least && *pause <= most, "{pauses:?}");
        }
    }

    fn sends(&self) -> usize {
        self.0.lock().unwrap().sends.len()
    }

    fn waits(&self) -> Vec<WaitPurchaseRequest> {
        self.0.lock().unwrap().waits.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn sends_nothing_without_a_request_id() {
    let gateway = gateway([]);
    let registered = register(gateway.clone(), RegisterRequest::default(), None).await;
    let topped_up = top_up(gateway.clone(), TopUpRequest::default(), None).await;
    assert!(matches!(registered, Err(PurchaseError::NoRequestId)));
    assert!(matches!(topped_up, Err(PurchaseError::NoRequestId)));
    assert_eq!(gateway.sends(), 0);
}

#[tokio::test(start_paused = true)]
async fn returns_the_sale() {
    gateway([]).sells().await;
    let request = TopUpRequest {
        request_id: "order-2".into(),
        ..Default::default()
    };
    let sold = top_up(gateway([]), request, Some(Duration::MAX)).await;
    assert_eq!(sold.unwrap().purchase_id, PURCHASE);
}

#[tokio::test(start_paused = true)]
async fn refuses_with_what_the_gateway_told() {
    for (told_effect, name) in [
        (Effect::NotApplied, "NOT_APPLIED"),
        (Effect::Applied, "APPLIED"),
        (Effect::NotStarted, "NOT_STARTED"),
    ] {
        let outcome = Outcome {
            reason: ErrorReason::InsufficientCredit.into(),
            purchase_id: PURCHASE.into(),
            field_violations: vec![FieldViolation::default()],
            ..effect(told_effect)
        };
        let gateway = gateway([told(outcome.clone())]);
        let refused = gateway.refuses().await;
        assert_eq!(refused.reason, "INSUFFICIENT_CREDIT");
        assert_eq!(refused.effect, name);
        assert_eq!(refused.message, "sentence");
        assert_eq!(refused.outcome, outcome);
        assert_eq!(gateway.sends(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_reason_that_a_newer_gateway_has_by_its_number() {
    let newer = Outcome {
        reason: 9000,
        ..effect(Effect::NotApplied)
    };
    assert_eq!(gateway([told(newer)]).refuses().await.reason, "9000");
}

#[tokio::test(start_paused = true)]
async fn refuses_a_reused_request_id_whatever_the_effect() {
    for other in [
        Effect::Unspecified,
        Effect::NotStarted,
        Effect::NotApplied,
        Effect::Applied,
        Effect::Indeterminate,
    ] {
        let reused = Outcome {
            reason: ErrorReason::RequestIdReused.into(),
            purchase_id: PURCHASE.into(),
            ..after(1, effect(other))
        };
        let gateway = gateway([told(reused)]);
        assert_eq!(gateway.refuses().await.reason, "REQUEST_ID_REUSED");
        assert_eq!(gateway.sends(), 1);
        assert!(gateway.waits().is_empty());
    }
}

fn unauthenticated() -> Outcome {
    Outcome {
        reason: ErrorReason::Unauthenticated.into(),
        ..effect(Effect::Indeterminate)
    }
}

fn denied() -> Outcome {
    Outcome {
        reason: ErrorReason::PermissionDenied.into(),
        ..effect(Effect::NotStarted)
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_wrong_credential_or_a_missing_right_at_once() {
    for (outcome, reason, name) in [
        (unauthenticated(), "UNAUTHENTICATED", "INDETERMINATE"),
        (denied(), "PERMISSION_DENIED", "NOT_STARTED"),
    ] {
        let gateway = gateway([told(outcome)]);
        let refused = gateway.refuses().await;
        assert_eq!(
            (refused.reason.as_str(), refused.effect.as_str()),
            (reason, name)
        );
        assert_eq!(gateway.sends(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn does_not_know_if_the_credential_is_refused_after_a_send_in_doubt() {
    for outcome in [unauthenticated(), denied()] {
        let gateway = gateway([Line::Answer(Status::internal("no Outcome")), told(outcome)]);
        assert_eq!(gateway.does_not_know().await.0, "");
        gateway.paused(&[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn does_not_know_if_the_credential_is_refused_after_an_open_purchase() {
    let gateway =
        gateway([told(unknown()), told(unauthenticated())]).with_states([PurchaseState::Succeeded]);
    assert_eq!(gateway.does_not_know().await.0, PURCHASE);
    assert_eq!(gateway.sends(), 2);
}

#[tokio::test(start_paused = true)]
async fn sends_again_after_the_delay_that_the_gateway_asks_for() {
    let gateway = gateway([told(after(7, effect(Effect::NotStarted)))]);
    gateway.sells().await;
    gateway.paused(&[7]);
}

#[tokio::test(start_paused = true)]
async fn refuses_when_the_time_is_too_short_for_the_delay_and_no_send_is_in_doubt() {
    let gateway = gateway([told(after(100, effect(Effect::NotStarted)))]);
    assert_eq!(gateway.refuses().await.effect, "NOT_STARTED");
}

#[tokio::test(start_paused = true)]
async fn asks_again_for_a_sale_that_the_gateway_can_show_later() {
    let gateway = gateway([told(after(3, effect(Effect::Applied)))]);
    gateway.sells().await;
    gateway.paused(&[3]);
    assert!(gateway.waits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn refuses_when_the_time_is_too_short_to_ask_for_the_sale_again() {
    let gateway = gateway([
        Line::Answer(Status::unavailable("")),
        told(after(100, effect(Effect::Applied))),
    ]);
    assert_eq!(gateway.refuses().await.effect, "APPLIED");
    gateway.paused(&[1]);
}

#[tokio::test(start_paused = true)]
async fn does_not_know_when_the_time_is_too_short_for_the_delay_and_a_send_is_in_doubt() {
    let gateway = gateway([
        Line::Answer(Status::unavailable("")),
        told(after(100, effect(Effect::NotStarted))),
    ]);
    gateway.does_not_know().await;
}

#[tokio::test(start_paused = true)]
async fn does_not_believe_that_nothing_was_started_while_a_send_is_in_doubt() {
    let gateway = gateway([
        Line::Answer(Status::unavailable("")),
        told(effect(Effect::NotStarted)),
        told(effect(Effect::NotStarted)),
    ]);
    gateway.sells().await;
    gateway.paused(&[1, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn believes_that_nothing_was_started_after_an_outcome() {
    let gateway = gateway([
        told(effect(Effect::Indeterminate)),
        told(effect(Effect::NotStarted)),
    ]);
    assert_eq!(gateway.refuses().await.effect, "NOT_STARTED");
}

#[tokio::test(start_paused = true)]
async fn does_not_know_when_the_time_is_too_short_to_ask_what_became_of_a_purchase() {
    let gateway = gateway([told(after(100, effect(Effect::Indeterminate)))]);
    gateway.does_not_know().await;
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_purchase_and_asks_again() {
    let gateway = gateway([told(unknown())]).with_states([PurchaseState::Succeeded]);
    gateway.sells().await;
    gateway.paused(&[0]);
    let waits = gateway.waits();
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].id, PURCHASE);
    assert_eq!(waits[0].timeout.unwrap().seconds, 60);
}

#[tokio::test(start_paused = true)]
async fn learns_the_refusal_of_the_purchase_that_it_waited_for() {
    let gateway = gateway([told(unknown()), told(effect(Effect::NotApplied))])
        .with_states([PurchaseState::Failed]);
    assert_eq!(gateway.refuses().await.effect, "NOT_APPLIED");
}

#[tokio::test(start_paused = true)]
async fn waits_until_the_purchase_is_settled() {
    let gateway = gateway((0..3).map(|_| told(after(5, unknown())))).with_states([
        PurchaseState::Uncertain,
        PurchaseState::NeedsOperator,
        PurchaseState::Succeeded,
    ]);
    gateway.sells().await;
    gateway.paused(&[5, 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn asks_again_when_the_wait_fails() {
    let gateway = gateway([told(unknown())]);
    gateway.sells().await;
    assert_eq!(gateway.waits().len(), 1);
    gateway.paused(&[1]);
}

#[tokio::test(start_paused = true)]
async fn pauses_when_a_settled_purchase_is_still_reported_as_unknown() {
    let gateway =
        gateway([told(unknown()), told(unknown())]).with_states([PurchaseState::Succeeded]);
    gateway.sells().await;
    assert_eq!(gateway.waits().len(), 1);
    gateway.paused(&[0, 1]);
}

#[tokio::test(start_paused = true)]
async fn asks_again_when_no_purchase_is_known() {
    let gateway = gateway([
        told(after(3, effect(Effect::Indeterminate))),
        told(effect(Effect::Indeterminate)),
        told(effect(Effect::Unspecified)),
    ]);
    gateway.sells().await;
    assert!(gateway.waits().is_empty());
    gateway.paused(&[3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn does_not_know_when_the_time_is_over() {
    let gateway = gateway(
        [told(unknown())]
            .into_iter()
            .chain((0..40).map(|_| Line::Answer(Status::unavailable("")))),
    );
    let began = Instant::now();
    let (purchase_id, cause) = gateway.does_not_know().await;
    assert_eq!(purchase_id, PURCHASE);
    assert_eq!(cause.code(), Code::Unavailable);
    let took = began.elapsed().as_secs();
    assert!((89..=100).contains(&took), "{took} s");
    gateway.paused(&[1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10, 10][..gateway.sends() - 1]);
}

#[tokio::test(start_paused = true)]
async fn does_not_know_when_no_answer_comes_in_time() {
    let began = Instant::now();
    let (_, cause) = gateway([Line::Silence]).does_not_know().await;
    assert_eq!(cause.code(), Code::DeadlineExceeded);
    assert_eq!(began.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn sends_again_without_an_outcome() {
    for code in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Unknown,
        Code::ResourceExhausted,
        Code::Aborted,
        Code::Cancelled,
    ] {
        let gateway = gateway([Line::Answer(Status::new(code, ""))]);
        gateway.sells().await;
        gateway.paused(&[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn sends_again_when_the_connection_breaks() {
    // hyper says so of some calls on a connection that breaks.
    let mut cancelled = Status::cancelled("operation was canceled: connection closed");
    cancelled.set_source(Arc::new(std::io::Error::other("connection closed")));
    let gateway = gateway([Line::Broken(cancelled), told(effect(Effect::NotStarted))]);
    gateway.sells().await;
}

#[tokio::test(start_paused = true)]
async fn does_not_know_what_a_proxy_means() {
    for code in [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::Unimplemented,
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
    ] {
        let gateway = gateway([Line::Answer(Status::new(code, ""))]);
        let (purchase_id, cause) = gateway.does_not_know().await;
        assert_eq!(cause.code(), code);
        assert_eq!(purchase_id, "");
        assert_eq!(gateway.sends(), 1);
    }
}
