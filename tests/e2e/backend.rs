//! An HTTP server that can be killed and brought back: its port refuses connections while it is dead.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Backend {
    pub address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Backend {
    pub async fn start(address: SocketAddr) -> Backend {
        let listener = TcpListener::bind(address).await.expect("the backend listens");
        let address = listener.local_addr().expect("an address");
        Backend { address, serving: Some(serve(listener)) }
    }

    /// Closes the port.
    pub async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the backend listens again");
        self.serving = Some(serve(listener));
    }
}

fn serve(listener: TcpListener) -> JoinHandle<()> {
    let router = Router::new().route("/health", get(|| async { "ok" }));
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    })
}
