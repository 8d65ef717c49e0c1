use gigagate_client::outcome_of;
use gigagate_client::v1::{Effect, ErrorReason, Outcome};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

fn refused() -> Outcome {
    Outcome {
        reason: ErrorReason::PriceMismatch.into(),
        effect: Effect::NotApplied.into(),
        ..Default::default()
    }
}

fn detail(name: &str, value: Vec<u8>) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{name}"),
        value,
    }
}

fn error(details: Vec<Any>) -> Status {
    let status = tonic_types::pb::Status {
        code: Code::FailedPrecondition as i32,
        message: "refused".into(),
        details,
    };
    Status::with_details(
        Code::FailedPrecondition,
        "refused",
        status.encode_to_vec().into(),
    )
}

#[test]
fn is_found_among_other_details() {
    let error = error(vec![
        detail("google.rpc.ErrorInfo", Vec::new()),
        detail("gigagate.v1.Outcome", refused().encode_to_vec()),
    ]);
    assert_eq!(outcome_of(&error), Some(refused()));
}

#[test]
fn is_none_where_there_is_none() {
    assert_eq!(outcome_of(&Status::unavailable("broken connection")), None);
    assert_eq!(outcome_of(&error(Vec::new())), None);
    assert_eq!(
        outcome_of(&error(vec![detail("google.rpc.ErrorInfo", Vec::new())])),
        None
    );
    assert_eq!(
        outcome_of(&error(vec![detail("gigagate.v1.Outcome", b"x".to_vec())])),
        None
    );
    assert_eq!(
        outcome_of(&Status::with_details(Code::Internal, "", "x".into())),
        None
    );
}
