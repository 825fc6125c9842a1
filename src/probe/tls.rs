//! TLS for https checks: whom to trust, the handshake, and what a bad certificate is called.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{Timestamp, Unit};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::checker::{Failure, Trace};

/// Client settings of TLS, shared by all checks.
pub(super) struct Trust {
    /// `None` on a machine without any authority, where every certificate would look forged.
    verifying: Option<Arc<ClientConfig>>,
    accepting_any: Arc<ClientConfig>,
}

impl Trust {
    pub fn of_this_machine() -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of this machine's certificate authorities cannot be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Self::in_roots(roots)
    }

    pub fn in_roots(roots: RootCertStore) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifying = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        let any = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        Trust {
            verifying: verifying.map(|verifier| client_config(&provider, verifier)),
            accepting_any: client_config(&provider, any),
        }
    }

    /// Shakes hands; `host` is a name or an address, and only a name is sent as SNI (RFC 6066
    /// section 3). The certificate's end is noted before anything else can fail.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
        verify: bool,
        trace: &mut Trace,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let config = if verify { self.verifying.as_ref() } else { Some(&self.accepting_any) };
        let config = config.ok_or_else(|| {
            Failure::Unable(
                "this machine trusts no certificate authority; install ca-certificates, or turn verify_tls off".into(),
            )
        })?;
        let name = server_name(host)?;
        trace.waits_for = "TLS handshake";
        let stream = match TlsConnector::from(config.clone()).connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(tls) => {
                    trace.certificate_ends = trace.certificate_ends.or(end_in(tls));
                    return Err(Failure::Down(reason(tls, host)));
                }
                None => return Err(cut_short(error)),
            },
        };
        trace.latency.tls_ms = trace.elapsed_ms();
        trace.waits_for = "answer";
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        trace.certificate_ends = leaf.and_then(end_of);
        Ok(stream)
    }
}

fn client_config(provider: &Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would not show its certificate, and a check should cost what a client's
    // first visit costs.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn server_name(host: &str) -> Result<ServerName<'static>, Failure> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerName::from(ip));
    }
    ServerName::try_from(host.trim_end_matches('.').to_owned())
        .map_err(|_| Failure::Unable(format!("'{host}' is no host name; correct the monitor's host")))
}

/// The connection ended in the middle of the handshake.
fn cut_short(error: std::io::Error) -> Failure {
    match Failure::from(error) {
        Failure::Down(reason) => Failure::Down(format!("TLS handshake failed: {reason}")),
        unable => unable,
    }
}

fn end_of(certificate: &CertificateDer) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

fn end_in(error: &Error) -> Option<Timestamp> {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => timestamp(*not_after),
        _ => None,
    }
}

fn reason(error: &Error, host: &str) -> String {
    let Error::InvalidCertificate(problem) = error else { return format!("TLS handshake failed: {error}") };
    match problem {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("certificate expired {}", ago(time.as_secs().saturating_sub(not_after.as_secs())))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = timestamp(*not_before).and_then(|from| from.round(Unit::Second).ok());
            format!("certificate is not valid before {}", from.map(|from| from.to_string()).unwrap_or_default())
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("certificate is for {}, not {host}", names(presented))
        }
        CertificateError::UnknownIssuer => "certificate is of an authority that this machine does not trust".into(),
        other => format!("certificate is not valid: {other}"),
    }
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}

fn ago(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// The first names of a certificate, as rustls shows them: `DnsName("other.example")`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match presented {
        [] => "no name".into(),
        [first] => plain(first),
        [first, rest @ ..] => format!("{} and {} more", plain(first), rest.len()),
    }
}

/// Accepts whatever certificate is shown (`verify_tls: false`), by a server that holds its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
