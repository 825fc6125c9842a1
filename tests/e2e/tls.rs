//! Browsers elsewhere: the pages over TLS, with a certificate that lasts.

use reqwest::{Client, Version};

use crate::server::{DEADLINE, Server, free_address};

#[tokio::test]
async fn pages_come_over_tls_with_a_certificate_that_lasts_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut certificates = Vec::new();
    for _ in 0..2 {
        let https = free_address();
        let server = Server::start(dir.path(), &["--https", &https.to_string()]);
        let pem = std::fs::read(dir.path().join("tls.crt")).expect("the certificate is kept");
        let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
        let client = Client::builder().no_proxy().timeout(DEADLINE).add_root_certificate(trusted).build().unwrap();
        let response = client.get(format!("https://{https}/healthz")).send().await.expect("an answer over TLS");
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        certificates.push(pem);
        assert!(server.stop(), "the server ends though a connection is open");
    }
    assert_eq!(certificates[0], certificates[1]);
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let wrong = elsewhere.path().join("wrong.pem");
    std::fs::write(&wrong, "no certificate").unwrap();
    let wrong = wrong.to_str().unwrap();
    let arguments = ["--https", "127.0.0.1:0", "--tls-certificate", wrong, "--tls-key", wrong];
    let says = Server::try_start(dir.path(), &arguments).err().expect("it does not start");
    assert!(says.contains("wrong.pem: holds no certificate"), "{says}");
}
