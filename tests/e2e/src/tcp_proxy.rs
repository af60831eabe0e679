//! What lies between an instance and its stores: TCP proxies that lose connections, or speak TLS.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{future::pending, net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::{Stack, unique};

/// It ends when it is dropped, with all its connections.
pub struct TcpProxy {
    address: SocketAddr,
    loses: watch::Sender<()>,
    task: AbortHandle,
}

impl TcpProxy {
    /// A way to the server of a URL.
    pub async fn to(url: &str) -> Self {
        Self::through(url, None).await
    }

    /// The same for clients that speak TLS to a server that does not.
    pub async fn with_tls(url: &str, authority: &Authority) -> Self {
        Self::through(url, Some(authority.acceptor.clone())).await
    }

    async fn through(url: &str, tls: Option<TlsAcceptor>) -> Self {
        let server = server_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (loses, lost) = watch::channel(());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, tls, mut lost) = (server.clone(), tls.clone(), lost.clone());
                lost.mark_unchanged();
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let Some(tls) = tls else { return carry(client, server, lost).await };
                    // A client may refuse our certificate.
                    if let Ok(client) = tls.accept(client).await {
                        carry(client, server, lost).await;
                    }
                });
            }
        });
        Self { address, loses, task: task.abort_handle() }
    }

    /// A URL of the server, by this way.
    pub fn url(&self, url: &str) -> String {
        url.replacen(server_of(url), &self.address.to_string(), 1)
    }

    /// From now on nothing arrives that is sent on the connections that there are, in either direction, and nobody is told.
    /// New connections work.
    pub fn lose_connections(&self) {
        self.loses.send(()).unwrap();
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: impl AsyncRead + AsyncWrite + Unpin, mut server: TcpStream, mut lost: watch::Receiver<()>) {
    tokio::select! {
        // However it ends: for both ends it has.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = lost.changed() => pending().await,
    }
}

/// Host and port of a URL.
fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split(['/', '?']).next().unwrap()
}

/// A certificate authority that nobody knows, and a server of 127.0.0.1 with its certificate.
pub struct Authority {
    /// Its own certificate, for who is to trust it.
    pub file: PathBuf,
    acceptor: TlsAcceptor,
}

impl Authority {
    /// `stack` keeps the file.
    pub fn new(stack: &Stack) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        let file = stack.path.with_file_name(unique("authority"));
        std::fs::write(&file, authority.pem()).unwrap();
        Self { file, acceptor: TlsAcceptor::from(Arc::new(server)) }
    }
}
