//! The purchase helper: it sends a paid request until it is known how its request id stands.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use std::{error, fmt};

use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::{Code, Request, Response, Status};

use crate::outcome_of;
use crate::v1::activation_service_client::ActivationServiceClient;
use crate::v1::purchase_service_client::PurchaseServiceClient;
use crate::v1::{
    Effect, ErrorReason, Outcome, PurchaseState, RegisterRequest, RegisterResponse, TopUpRequest,
    TopUpResponse, WaitPurchaseRequest,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(100);
/// Keeps the arithmetic of time from overflowing.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The contract's limit for `WaitPurchaseRequest.timeout`.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A [`Channel`](tonic::transport::Channel), or one with interceptors or layers around it.
///
/// Use no layer that repeats calls. It would hide sends that ended without an answer, so a purchase
/// could end with `NOT_STARTED` although such a send can still buy.
pub trait Transport:
    Clone
    + GrpcService<
        Body,
        Error: Into<StdError>,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
    >
{
}

impl<T> Transport for T where
    T: Clone
        + GrpcService<
            Body,
            Error: Into<StdError>,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        >
{
}

/// Why a purchase did not end with a sale.
#[derive(Debug)]
pub enum PurchaseError {
    /// It is known how the request id stands, and there is no sale to show. After the effect
    /// `NOT_APPLIED` a new request id buys anew. After any other effect keep the same request id.
    Refused(Box<Refused>),
    /// The time is over, and credit may have been spent. Keep the request id, and ask again later
    /// with the same request: it never buys twice.
    NotKnownYet {
        /// The id of the purchase, or an empty text if it is not known.
        purchase_id: String,
        /// The error of the last send.
        cause: Status,
    },
    /// The request has no request id. Nothing was sent.
    NoRequestId,
}

/// The gateway's answer to a request that it refused.
///
/// For the reason `REQUEST_ID_REUSED` the effect and the purchase id are those of the other order.
/// The order of this call was not bought. For `UNAUTHENTICATED` this purchase did nothing, but an
/// earlier one with the request id may have.
#[derive(Debug)]
pub struct Refused {
    /// The contract's name of the reason without its prefix, such as `INSUFFICIENT_CREDIT`.
    pub reason: String,
    /// The contract's name of the effect without its prefix, such as `NOT_APPLIED`.
    pub effect: String,
    /// A sentence for people.
    pub message: String,
    /// The reason and the effect as enums, the purchase id, and the field violations.
    pub outcome: Outcome,
}

impl fmt::Display for PurchaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::NotKnownYet { purchase_id, .. } if purchase_id.is_empty() => {
                f.write_str("not known yet whether it was bought")
            }
            Self::NotKnownYet { purchase_id, .. } => {
                write!(f, "not known yet whether purchase {purchase_id} was made")
            }
            Self::NoRequestId => {
                f.write_str("request_id is empty: make one and store it before you buy")
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, effect, message) = (&self.reason, &self.effect, &self.message);
        write!(f, "refused: {reason}, {effect}: {message}")
    }
}

impl error::Error for PurchaseError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NotKnownYet { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Sells a first package. It sends the request again, always with the same request id, until it is
/// known how the request id stands.
///
/// The request id is the caller's own. Store it before this call, so that the same purchase can be
/// asked for again after a crash.
///
/// `timeout` is the time for all sends and pauses together; `None` is 100 seconds. If the future is
/// dropped earlier, that is the same as [`PurchaseError::NotKnownYet`].
pub async fn register<T: Transport>(
    transport: T,
    request: RegisterRequest,
    timeout: Option<Duration>,
) -> Result<RegisterResponse, PurchaseError> {
    let activations = ActivationServiceClient::new(transport.clone());
    buy(transport, &request.request_id, timeout, |left| {
        let (mut activations, call) = (activations.clone(), with_timeout(&request, left));
        async move { activations.register(call).await }
    })
    .await
}

/// Sells a further package to a customer. The rules are those of [`register`].
pub async fn top_up<T: Transport>(
    transport: T,
    request: TopUpRequest,
    timeout: Option<Duration>,
) -> Result<TopUpResponse, PurchaseError> {
    let activations = ActivationServiceClient::new(transport.clone());
    buy(transport, &request.request_id, timeout, |left| {
        let (mut activations, call) = (activations.clone(), with_timeout(&request, left));
        async move { activations.top_up(call).await }
    })
    .await
}

async fn buy<T, A, F>(
    transport: T,
    request_id: &str,
    timeout: Option<Duration>,
    send: impl Fn(Duration) -> F,
) -> Result<A, PurchaseError>
where
    T: Transport,
    F: Future<Output = Result<Response<A>, Status>>,
{
    if request_id.is_empty() {
        return Err(PurchaseError::NoRequestId);
    }
    let mut purchase = Purchase {
        purchases: PurchaseServiceClient::new(transport),
        deadline: Instant::now() + timeout.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT),
        in_doubt: false,
        id: String::new(),
        settled: false,
        next_pause: FIRST_PAUSE,
    };
    loop {
        let sent = timeout_at(purchase.deadline, send(purchase.left())).await;
        let error = match sent {
            Ok(Ok(sale)) => return Ok(sale.into_inner()),
            Ok(Err(error)) => error,
            Err(_) => Status::deadline_exceeded("the time is over"),
        };
        purchase.after(error).await?;
    }
}

fn with_timeout<Q: Clone>(request: &Q, timeout: Duration) -> Request<Q> {
    let mut call = Request::new(request.clone());
    call.set_timeout(timeout);
    call
}

/// What is known of a purchase between two sends.
struct Purchase<T> {
    purchases: PurchaseServiceClient<T>,
    deadline: Instant,
    /// Whether a send ended without an [`Outcome`]. It may still be on its way to the gateway.
    in_doubt: bool,
    id: String,
    settled: bool,
    next_pause: Duration,
}

impl<T: Transport> Purchase<T> {
    /// Returns when the request has to be sent again.
    async fn after(&mut self, error: Status) -> Result<(), PurchaseError> {
        let Some(outcome) = outcome_of(&error) else {
            self.in_doubt = true;
            if !may_pass(&error) {
                return Err(self.end(error, Outcome::default()));
            }
            return self.pause_or_end(error, Outcome::default()).await;
        };
        if outcome.reason() == ErrorReason::RequestIdReused {
            return Err(refused(error, outcome));
        }
        if !outcome.purchase_id.is_empty() {
            self.id.clone_from(&outcome.purchase_id);
        }
        if needs_other_credential(&outcome) {
            // An earlier send may have bought, and the gateway does not say.
            return Err(if self.in_doubt || !self.id.is_empty() {
                self.not_known_yet(error)
            } else {
                refused(error, outcome)
            });
        }
        match outcome.effect() {
            Effect::NotApplied => return Err(refused(error, outcome)),
            // The package is sold. The delay says that the gateway can show the sale later.
            Effect::Applied if outcome.retry_delay.is_none() => {
                return Err(refused(error, outcome));
            }
            // The gateway has no purchase under this request id. A send in doubt can still make one.
            Effect::NotStarted if !self.in_doubt && outcome.retry_delay.is_none() => {
                return Err(refused(error, outcome));
            }
            Effect::Applied | Effect::NotStarted => {}
            Effect::Indeterminate | Effect::Unspecified => {
                if !self.settled && self.wait().await {
                    self.settled = true; // so the next send gets the result
                    return Ok(());
                }
            }
        }
        self.pause_or_end(error, outcome).await
    }

    /// Waits for the purchase. Returns false if it is not known to be settled afterwards.
    async fn wait(&mut self) -> bool {
        let left = self.left();
        if self.id.is_empty() || left.is_zero() {
            return false;
        }
        let request = WaitPurchaseRequest {
            id: self.id.clone(),
            timeout: left.min(LONGEST_WAIT).try_into().ok(),
        };
        let waited = self.purchases.wait_purchase(with_timeout(&request, left));
        match timeout_at(self.deadline, waited).await {
            Ok(Ok(waited)) => matches!(
                waited.into_inner().purchase.unwrap_or_default().state(),
                PurchaseState::Succeeded | PurchaseState::Failed
            ),
            _ => false, // the error of the wait says nothing about the purchase
        }
    }

    /// Pauses before the next send. Fails if there is no time for it.
    async fn pause_or_end(&mut self, error: Status, outcome: Outcome) -> Result<(), PurchaseError> {
        let pause = self.pause_for(&outcome);
        if pause >= self.left() {
            return Err(self.end(error, outcome));
        }
        sleep(pause).await;
        Ok(())
    }

    /// The delay that the gateway asks for, else one of 1 s to 10 s; and up to a tenth more.
    fn pause_for(&mut self, outcome: &Outcome) -> Duration {
        let asked = outcome.retry_delay.and_then(|d| Duration::try_from(d).ok());
        let pause = asked.filter(|d| !d.is_zero()).unwrap_or_else(|| {
            let pause = self.next_pause;
            self.next_pause = (2 * pause).min(LONGEST_PAUSE);
            pause
        });
        let random = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
        pause + pause.mul_f64(random / 10.0)
    }

    fn end(&self, error: Status, outcome: Outcome) -> PurchaseError {
        match outcome.effect() {
            Effect::Applied => refused(error, outcome),
            Effect::NotStarted if !self.in_doubt => refused(error, outcome),
            _ => self.not_known_yet(error),
        }
    }

    fn not_known_yet(&self, cause: Status) -> PurchaseError {
        PurchaseError::NotKnownYet {
            purchase_id: self.id.clone(),
            cause,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Whether the gateway refused the caller and not the order, so the next send cannot succeed.
fn needs_other_credential(outcome: &Outcome) -> bool {
    match outcome.reason() {
        ErrorReason::Unauthenticated => true,
        ErrorReason::PermissionDenied => outcome.effect() == Effect::NotStarted,
        _ => false,
    }
}

/// Whether an error without an [`Outcome`] may be gone at the next send. A proxy sends the others.
fn may_pass(error: &Status) -> bool {
    matches!(
        error.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::Aborted
            // A proxy or a server that stops, or a broken connection. A caller cancels by dropping.
            | Code::Cancelled
    )
}

fn refused(error: Status, outcome: Outcome) -> PurchaseError {
    let reason = ErrorReason::try_from(outcome.reason).map(|r| r.as_str_name());
    let effect = Effect::try_from(outcome.effect).map(|e| e.as_str_name());
    PurchaseError::Refused(Box::new(Refused {
        reason: name_of(reason.ok(), "ERROR_REASON_", outcome.reason),
        effect: name_of(effect.ok(), "EFFECT_", outcome.effect),
        message: error.message().into(),
        outcome,
    }))
}

/// The name of an enum's value, or its number if a newer gateway has added it.
fn name_of(name: Option<&str>, prefix: &str, number: i32) -> String {
    match name {
        Some(name) => name.trim_start_matches(prefix).into(),
        None => number.to_string(),
    }
}
