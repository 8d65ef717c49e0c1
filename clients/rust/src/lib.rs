//! Client stubs of Gigagate, generated from its contract, and what the stubs do not provide:
//! [`register`] and [`top_up`], which buy and wait until the purchase is settled, [`outcome_of`],
//! which finds the [`v1::Outcome`] in an error, [`is_connection_loss`], and [`connect_with_key_file`],
//! which sends an API key.
//!
//! `examples/buy.rs` buys a package.

use std::error::Error;
use std::iter::successors;

use prost::Message;

mod key;
mod purchase;

pub use key::{KeyNeedsTls, KeyedChannel, SendKey, connect_with_key, connect_with_key_file};
pub use purchase::{PurchaseError, Refused, Transport, register, top_up};

/// The transport that the stubs are made for, so that callers need not match its version.
pub use tonic;

/// The contract, package `gigagate.v1`.
// Its comments are plain text, not Markdown.
#[allow(rustdoc::invalid_html_tags)]
pub mod v1 {
    tonic::include_proto!("gigagate.v1");
}

/// Finds the gateway's answer in an error: the reason, whether credit may have been spent, and what
/// to do next.
///
/// `None` (a broken connection, a proxy's page) means
/// [`Effect::Indeterminate`](v1::Effect::Indeterminate): repeat the call with the same request id.
pub fn outcome_of(error: &tonic::Status) -> Option<v1::Outcome> {
    let status = tonic_types::pb::Status::decode(error.details()).ok()?;
    let detail = status
        .details
        .iter()
        .find(|detail| detail.type_url.ends_with("/gigagate.v1.Outcome"))?;
    v1::Outcome::decode(detail.value.as_slice()).ok()
}

/// Tells whether a call was left without the gateway's answer because the connection broke, or was
/// never made: repeat it with the same request id.
///
/// gRPC says `UNAVAILABLE` then; tonic does so only where no connection was made, and else mostly
/// says [`Code::Unknown`](tonic::Code::Unknown).
pub fn is_connection_loss(error: &tonic::Status) -> bool {
    // What the gateway told has no source. What tonic tells has one, the call's own timeout too.
    error.source().is_some()
        && !successors(error.source(), |cause| (*cause).source())
            .any(|cause| cause.is::<tonic::TimeoutExpired>())
}
