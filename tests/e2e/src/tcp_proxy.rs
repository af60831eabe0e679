//! TCP proxies between an instance and its stores, which lose connections or speak TLS.
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

/// A TCP proxy. It ends with all its connections when it is dropped.
pub struct TcpProxy {
    address: SocketAddr,
    loses: watch::Sender<()>,
    task: AbortHandle,
}

impl TcpProxy {
    /// A proxy to the server of a URL.
    pub async fn to(url: &str) -> Self {
        Self::through(url, None).await
    }

    /// A proxy for clients that speak TLS, to a server that does not.
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
                    // An error is expected: a client may refuse the certificate.
                    if let Ok(client) = tls.accept(client).await {
                        carry(client, server, lost).await;
                    }
                });
            }
        });
        Self { address, loses, task: task.abort_handle() }
    }

    /// The URL of the server through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(server_of(url), &self.address.to_string(), 1)
    }

    /// Loses all open connections: from now on no byte arrives in either direction, and neither end is notified. New
    /// connections work.
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
        // The end of one side ends both.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = lost.changed() => pending().await,
    }
}

/// Host and port of a URL.
pub(crate) fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split(['/', '?']).next().unwrap()
}

/// A certificate authority that no client knows, and a TLS server for 127.0.0.1 with its certificate.
pub struct Authority {
    /// The file with the authority's certificate, for clients that must trust it.
    pub file: PathBuf,
    acceptor: TlsAcceptor,
}

impl Authority {
    /// The file is in the folder of `stack`.
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
