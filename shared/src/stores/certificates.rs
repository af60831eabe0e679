//! Private certificate authorities.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::config;

/// Authorities from a PEM file, all of which are valid.
pub struct Authorities {
    pub(super) path: PathBuf,
    pub(super) pem: Vec<u8>,
}

impl Authorities {
    /// The authorities that the environment names, if it names any.
    pub(super) fn from_environment() -> Result<Option<Self>> {
        config::tls_ca_file().map(|path| Self::read(&path)).transpose().context("TLS_CA_FILE")
    }

    /// # Errors
    /// The file cannot be read, has no certificate, or has a malformed certificate. The clients of the stores would
    /// skip a malformed certificate, or panic.
    fn read(path: &Path) -> Result<Self> {
        let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.with_context(|| format!("{} is not PEM", path.display()))?;
            roots.add(certificate).with_context(|| format!("{} has a malformed certificate", path.display()))?;
        }
        ensure!(!roots.is_empty(), "{} has no certificate", path.display());
        Ok(Self { path: path.to_owned(), pem })
    }
}
