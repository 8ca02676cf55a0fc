//! TLS to a server or a proxy, trusting what this computer trusts.

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{DialError, unreachable};
use crate::stream::BoxedStream;

const HTTP_1: &[u8] = b"http/1.1";
/// What helps against an authority nobody here knows.
const OWN_AUTHORITY: &str = "if an authority of your own signed it, add that authority's certificate to this computer's \
     store, or name a file that holds it in the variable SSL_CERT_FILE, and start this again";

/// Speaks TLS with the host of `url` over a stream that reaches it.
pub(super) async fn secure(
    url: &Url,
    given: Option<&Arc<ClientConfig>>,
    stream: BoxedStream,
) -> Result<BoxedStream, DialError> {
    let name = match url.host() {
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
            .map_err(|error| unreachable(io::Error::new(io::ErrorKind::InvalidInput, error)))?,
        Some(Host::Ipv4(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        None => return Err(unreachable(io::ErrorKind::InvalidInput)),
    };
    let host = url.host_str().unwrap_or_default();
    let given = match given {
        Some(given) => given,
        None => PLATFORM.as_ref().map_err(|error| untrusted(host, error))?,
    };
    let config = if given.alpn_protocols == [HTTP_1] {
        Arc::clone(given)
    } else {
        // Only HTTP/1.1 knows this kind of upgrade.
        let mut config = ClientConfig::clone(given);
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Arc::new(config)
    };
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(cause @ rustls::Error::InvalidCertificate(_)) => untrusted(host, cause),
            _ => unreachable(error),
        }),
    }
}

fn untrusted(host: &str, error: &rustls::Error) -> DialError {
    use CertificateError as E;
    let why = match error {
        rustls::Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. }) => {
            "it has expired; renew it on the server, or set this computer's clock".to_owned()
        }
        rustls::Error::InvalidCertificate(E::NotValidYet | E::NotValidYetContext { .. }) => {
            "it is not valid yet; set this computer's clock".to_owned()
        }
        rustls::Error::InvalidCertificate(E::NotValidForName | E::NotValidForNameContext { .. }) => {
            "it is for another name; use a name the certificate has".to_owned()
        }
        other => format!("{other}; {OWN_AUTHORITY}"),
    };
    DialError::Untrusted { host: host.to_owned(), why }
}

/// Trusts what the system's store holds, or the files `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
///
/// Read once, as HTTP clients do: both would not agree if the store changed in between.
static PLATFORM: LazyLock<Result<Arc<ClientConfig>, rustls::Error>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(Arc::new(config))
});
