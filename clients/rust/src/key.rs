//! API keys.

use std::path::PathBuf;
use std::sync::Arc;
use std::{error, fmt, fs};

use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A channel that sends an API key with every call.
pub type KeyedChannel = InterceptedService<Channel, SendKey>;

/// Connects when first used, and sends an API key with every call.
///
/// The endpoint must start with `https:`, so that the key is sent only over TLS.
pub fn connect_with_key(
    endpoint: Endpoint,
    key: impl Into<String>,
) -> Result<KeyedChannel, KeyNeedsTls> {
    connect(endpoint, Source::Text(key.into()))
}

/// [`connect_with_key`] with the key in a file. The file is read at every call, so a new key needs no
/// restart. Replace the file in one step (`mv`).
pub fn connect_with_key_file(
    endpoint: Endpoint,
    path: impl Into<PathBuf>,
) -> Result<KeyedChannel, KeyNeedsTls> {
    connect(endpoint, Source::File(path.into()))
}

fn connect(endpoint: Endpoint, source: Source) -> Result<KeyedChannel, KeyNeedsTls> {
    if endpoint.uri().scheme_str() != Some("https") {
        return Err(KeyNeedsTls);
    }
    let send = SendKey(Arc::new(source));
    Ok(InterceptedService::new(endpoint.connect_lazy(), send))
}

/// The endpoint does not use TLS, so no key is sent to it.
#[derive(Debug)]
pub struct KeyNeedsTls;

impl fmt::Display for KeyNeedsTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an API key is sent only over TLS: the endpoint must start with https:")
    }
}

impl error::Error for KeyNeedsTls {}

/// Sends the key. Only the functions that check the endpoint make one.
#[derive(Clone)]
pub struct SendKey(Arc<Source>);

enum Source {
    Text(String),
    File(PathBuf),
}

impl fmt::Debug for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendKey")
    }
}

impl Interceptor for SendKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let key = match self.0.as_ref() {
            Source::Text(key) => key.clone(),
            Source::File(path) => fs::read_to_string(path)
                .map_err(|error| {
                    Status::unauthenticated(format!("read {}: {error}", path.display()))
                })?
                .trim()
                .to_string(),
        };
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Status::unauthenticated(
                "the API key is empty, or has characters that no key has",
            ));
        }
        let mut value = MetadataValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Status::unauthenticated("the API key does not fit into a header"))?;
        value.set_sensitive(true); // it is not printed, and not kept in tables of HTTP/2
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "gg_secret";

    fn sent(source: Source) -> Result<String, Status> {
        let mut send = SendKey(Arc::new(source));
        assert!(!format!("{send:?}").contains("secret"));
        let request = send.call(Request::new(()))?;
        assert!(!format!("{request:?}").contains("secret"));
        let value = request.metadata().get("authorization").unwrap();
        Ok(value.to_str().unwrap().into())
    }

    #[tokio::test]
    async fn needs_tls() {
        let endpoint = Endpoint::from_static("http://127.0.0.1:9090");
        assert!(connect_with_key(endpoint.clone(), KEY).is_err());
        assert!(connect_with_key_file(endpoint, "shop.key").is_err());
        let secured = Endpoint::from_static("https://127.0.0.1:9090");
        assert!(connect_with_key(secured, KEY).is_ok());
    }

    #[test]
    fn reads_the_file_at_every_call() {
        let path = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        for key in ["gg_first", "gg_second"] {
            fs::write(&path, format!("{key}\n")).unwrap();
            let header = sent(Source::File(path.clone())).unwrap();
            assert_eq!(header, format!("Bearer {key}"));
        }
        fs::remove_file(&path).unwrap();
        let error = sent(Source::File(path)).unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unauthenticated);
    }

    #[test]
    fn does_not_tell_the_key() {
        assert_eq!(sent(Source::Text(KEY.into())).unwrap(), "Bearer gg_secret");
        for broken in ["", "gg_secret\n", "gg_ secret", "gg_secreté"] {
            let error = sent(Source::Text(broken.into())).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("secret"));
        }
    }
}
