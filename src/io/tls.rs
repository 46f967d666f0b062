//! TLS for the connections that ask for it, with a certificate that may be renewed while clients are connected.
//!
//! The files are looked at whenever a client comes with TLS: one that was replaced holds for the next client, and those
//! who are connected keep what they have. One that cannot be used is said once, and the one before goes on serving.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::base::limits::TLS_FILE_BYTES_MAX;

/// First byte of a TLS connection: a record of content type handshake (RFC 8446, 5.1). SPICE begins with an R.
pub(super) const TLS_FIRST_BYTE: u8 = 0x16;

/// Why there is no TLS. The fault is the administrator's.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any certificate.
    #[error("{} is larger than {TLS_FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// A file holds nothing of what it should.
    #[error("{} holds no {what} in PEM form: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// Certificate and key are read, and no good.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No client's certificate can be judged by them.
    #[error("the authorities of clients cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

/// A certificate chain and its key on disk; both may be in one file.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificates in PEM form, the server's own first.
    pub certificate: PathBuf,
    /// Its private key in PEM form.
    pub key: PathBuf,
    /// Authorities in PEM form: clients need a certificate of theirs. Stock clients have none.
    pub client_authority: Option<PathBuf>,
}

/// What is taken on a TCP socket.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// Plain bytes; a client that begins TLS is not understood.
    None,
    /// Both, by the first byte.
    Offered(Rc<Tls>),
    /// TLS; a plain client is told to come again with it.
    Required(Rc<Tls>),
}

impl Encryption {
    /// For the handshake of a connection that begins with one.
    pub(super) fn tls(&self) -> Option<&Tls> {
        match self {
            Self::None => None,
            Self::Offered(tls) | Self::Required(tls) => Some(tls),
        }
    }

    /// Whether plain bytes are refused.
    pub(super) const fn is_required(&self) -> bool {
        matches!(self, Self::Required(_))
    }
}

/// What tells one version of a file from the next: device, inode, size, seconds and nanoseconds of its last change.
pub(super) type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The file's version now; none if there is no file.
pub(super) fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
    ))
}

/// TLS as it is offered now.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    offered: RefCell<Offered>,
}

#[derive(Debug)]
struct Offered {
    config: Arc<ServerConfig>,
    /// The files that were last tried, whether they were good or not.
    tried: [Stamp; 3],
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let tried = files.stamps();
        let config = files.config()?;
        Ok(Self {
            files,
            offered: RefCell::new(Offered { config, tried }),
        })
    }

    /// For one connection, with the certificate that lies on disk now if it is any good.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let stamps = self.files.stamps();
        let mut offered = self.offered.borrow_mut();
        if offered.tried != stamps {
            offered.tried = stamps;
            match self.files.config() {
                Ok(config) => {
                    offered.config = config;
                    tracing::info!(certificate = %self.files.certificate.display(), "TLS certificate read again");
                }
                Err(error) => {
                    tracing::warn!(%error, "the TLS certificate changed and is no good; the one before stays");
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&offered.config))
    }
}

impl TlsFiles {
    fn stamps(&self) -> [Stamp; 3] {
        let authority = self.client_authority.as_deref().and_then(stamp);
        [stamp(&self.certificate), stamp(&self.key), authority]
    }

    /// Who judges clients' certificates, if they need any.
    fn client_judge(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(path) = &self.client_authority else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate)?;
        }
        let provider = Arc::clone(provider);
        let judge = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Some(judge.build()?))
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.certificate)?;
        let text = zeroize::Zeroizing::new(read(&self.key)?);
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|source| content(&self.key, "private key", source))?;
        // Named, not looked up: another library in the process may bring a provider of its own.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let judge = self.client_judge(&provider)?;
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = match judge {
            Some(judge) => config.with_client_cert_verifier(judge),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_single_cert(chain, key)?;
        // No client of SPICE resumes a session; remembering them would cost each connection memory and time.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .and_then(|chain: Vec<_>| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|source| content(path, "certificate", source))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(TLS_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if TLS_FILE_BYTES_MAX < bytes.len() as u64 {
        return Err(TlsError::TooLarge(path.into()));
    }
    Ok(bytes)
}

fn content(path: &Path, what: &'static str, source: pem::Error) -> TlsError {
    TlsError::Content {
        path: path.into(),
        what,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.into()]).unwrap();
        let files = TlsFiles {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            client_authority: None,
        };
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = written(dir.path(), "one");
        let tls = Tls::load(files.clone()).unwrap();
        let config = |tls: &Tls| Arc::clone(tls.acceptor().config());
        let first = config(&tls);
        assert!(Arc::ptr_eq(&first, &config(&tls)), "nothing changed");
        fs::write(&files.certificate, "nonsense, and longer than it was").unwrap();
        assert!(
            Arc::ptr_eq(&first, &config(&tls)),
            "a broken one is not taken"
        );
        written(dir.path(), "two.example");
        assert!(!Arc::ptr_eq(&first, &config(&tls)), "a good one is");
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let good = written(dir.path(), "one");
        let other = tempfile::tempdir().unwrap();
        let foreign = written(other.path(), "one");
        let error = |certificate: &Path, key: &Path| {
            let files = TlsFiles {
                certificate: certificate.into(),
                key: key.into(),
                client_authority: None,
            };
            Tls::load(files).unwrap_err()
        };
        let missing = dir.path().join("missing");
        assert!(matches!(error(&missing, &good.key), TlsError::Read { .. }));
        assert!(matches!(
            error(&good.key, &good.key),
            TlsError::Content {
                what: "certificate",
                ..
            }
        ));
        assert!(matches!(
            error(&good.certificate, &good.certificate),
            TlsError::Content {
                what: "private key",
                ..
            }
        ));
        assert!(
            matches!(
                error(&good.certificate, &foreign.key),
                TlsError::Unusable(_)
            ),
            "the key of another certificate"
        );
        let large = dir.path().join("large");
        fs::write(&large, vec![b'x'; 1 << 20]).unwrap();
        assert!(matches!(error(&large, &good.key), TlsError::TooLarge(_)));
    }
}
