//! The certificate that browsers see: the operator's files, read again when they change, or one of our own
//! making, which lasts over restarts so that a browser that trusts it once need not be asked again.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::store;

/// How often the files are looked at; tools that renew certificates replace them.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Where a certificate of our own making is kept, in the data directory.
const OWN: (&str, &str) = ("tls.crt", "tls.key");

/// A certificate with its key, as two files in PEM form.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What is shown to browsers now.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// The operator's `files`, or one of our own in `data_dir`, made where there is none, for `node` and `address`.
    pub fn open(files: Option<Files>, data_dir: &Path, node: &str, address: IpAddr) -> Result<Arc<Self>, Failure> {
        let files = match files {
            Some(files) => files,
            None => own(data_dir, node, address)?,
        };
        let current = read(&files).map_err(|problem| Failure::wrong(vec![problem]))?;
        Ok(Arc::new(Certificate { files, current: ArcSwap::from_pointee(current) }))
    }

    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, Failure> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Failure::new(format!("TLS cannot be set up: {error}")))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// SHA-256 of the certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        let current = self.current.load();
        let digest = Sha256::digest(current.end_entity_cert().map_or(&[][..], |certificate| certificate));
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Takes new files as they come, until the stop. What cannot be read leaves the old certificate.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut known = stamps(&self.files);
        while tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_err() {
            let found = stamps(&self.files);
            if found == known {
                continue;
            }
            known = found;
            match read(&self.files) {
                Ok(current) => {
                    self.current.store(Arc::new(current));
                    tracing::info!("the certificate in {} is in use", self.files.certificate.display());
                }
                Err(problem) => tracing::error!("{problem}; the certificate from before stays in use"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn stamps(Files { certificate, key }: &Files) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|path| path.metadata().and_then(|data| data.modified()).ok())
}

fn read(Files { certificate, key }: &Files) -> Result<CertifiedKey, String> {
    let wrong =
        |path: &Path, error: &dyn std::fmt::Display, remedy: &str| format!("{}: {error}; {remedy}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| wrong(certificate, &error, "give the certificate and its chain in PEM form"))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"holds no certificate", "give the certificate and its chain in PEM form"));
    }
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| wrong(key, &error, "give the certificate's private key in PEM form"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider())
        .map_err(|error| wrong(key, &error, "give the key that belongs to the certificate"))
}

/// Our own certificate's files, made where they are missing.
fn own(data_dir: &Path, node: &str, address: IpAddr) -> Result<Files, Failure> {
    let files = Files { certificate: data_dir.join(OWN.0), key: data_dir.join(OWN.1) };
    if !files.certificate.exists() || !files.key.exists() {
        let (certificate, key) =
            make(node, address).map_err(|error| Failure::new(format!("no certificate could be made: {error}")))?;
        let written = store::write_private(&files.key, key.as_bytes());
        let written = written.and_then(|()| store::write_private(&files.certificate, certificate.as_bytes()));
        written.map_err(|fault| Failure::new(fault.to_string()))?;
    }
    Ok(files)
}

fn make(node: &str, address: IpAddr) -> Result<(String, String), rcgen::Error> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    let others = [node.to_owned(), host.trim().to_owned(), address.to_string()];
    names.extend(others.into_iter().filter(|name| !name.is_empty() && name.is_ascii()));
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("Northing on {node}"));
    params.not_before = date_time_ymd(2025, 1, 1);
    // Nobody renews it; whoever wants one that ends brings their own.
    params.not_after = date_time_ymd(2045, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_our_own_lasts_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Certificate::open(None, dir.path(), "ns1.example.net", [192, 0, 2, 53].into()).unwrap();
        let first = open();
        assert_eq!(first.fingerprint(), open().fingerprint());
        assert_eq!(first.fingerprint().len(), 95);
        first.acceptor().unwrap();
    }

    #[test]
    fn wrong_files_are_named_with_what_would_be_right() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        own(dir.path(), "a", [127, 0, 0, 1].into()).unwrap();
        fs::write(path("empty"), "").unwrap();
        let other = tempfile::tempdir().unwrap();
        own(other.path(), "b", [127, 0, 0, 1].into()).unwrap();
        for (certificate, key, says) in [
            (path("none"), path("tls.key"), "none: "),
            (path("empty"), path("tls.key"), "holds no certificate"),
            (path("tls.crt"), path("empty"), "private key in PEM form"),
            (path("tls.crt"), other.path().join("tls.key"), "key that belongs to the certificate"),
        ] {
            let files = Some(Files { certificate, key });
            let failure = Certificate::open(files, dir.path(), "a", [127, 0, 0, 1].into()).unwrap_err();
            assert!(failure.lines[0].contains(says), "{:?}", failure.lines);
        }
    }
}
