//! The certificate for TLS: the user's own, or one that is made once and kept.
//!
//! A client knows a certificate that no authority vouches for by its fingerprint, or by having the file itself; so one
//! that was made stays the same for all desktops of the user, for years. Certificate and key are in one file, so that
//! two launchers that start at once can never mix theirs; what clients may have of it lies beside it, without the key.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;

/// Years that a certificate made here is good for: clients who trust it once shall not be asked again.
const YEARS: i32 = 20;

/// Bytes of a certificate file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The file with what was made here, certificate and key.
const FILE: &str = "server.pem";

/// The file with the certificate alone, to be given to clients.
const AUTHORITY_FILE: &str = "certificate.pem";

/// Why there is no certificate.
#[derive(Debug, Error)]
pub(crate) enum CertificateError {
    #[error("cannot read the certificate {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no certificate in PEM form", .0.display())]
    Content(PathBuf),
    #[error(
        "{} belongs to another user, or others may read it; remove it, and a new one is made",
        .0.display()
    )]
    NotPrivate(PathBuf),
    #[error("cannot write the certificate {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "there is no place for a certificate: neither XDG_DATA_HOME nor HOME is set; name one \
             with --tls-cert and --tls-key"
    )]
    NoHome,
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Where a certificate and its key are, and what clients know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Authorities by which clients need a certificate, if they do.
    pub(crate) client_authority: Option<PathBuf>,
    /// SHA-256 of the certificate, as `AB:CD:..`.
    pub(crate) fingerprint: String,
    /// A file for clients to trust, if it was made here: the certificate is its own authority.
    pub(crate) authority_file: Option<PathBuf>,
}

impl Certificate {
    /// The user's own.
    pub(crate) fn of_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| CertificateError::Read {
                path: path.into(),
                source,
            })
        };
        let (certificate, key) = (absolute(certificate)?, absolute(key)?);
        Ok(Self {
            fingerprint: fingerprint(&certificate)?,
            certificate,
            key,
            client_authority: None,
            authority_file: None,
        })
    }

    /// The same for clients with a certificate of these authorities only, if there are any.
    pub(crate) fn for_clients_of(mut self, authority: Option<&Path>) -> Self {
        // The server reads it, in another directory.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
        self.client_authority = authority.map(absolute);
        self
    }

    /// The one that was made before for this user, or a new one.
    pub(crate) fn kept_or_made() -> Result<Self, CertificateError> {
        Self::in_dir(&data_dir().ok_or(CertificateError::NoHome)?)
    }

    fn in_dir(dir: &Path) -> Result<Self, CertificateError> {
        let path = dir.join(FILE);
        if !path.exists() {
            make(dir, &path)?;
        }
        let file = fs::symlink_metadata(&path).map_err(|source| CertificateError::Read {
            path: path.clone(),
            source,
        })?;
        if !file.is_file()
            || file.uid() != nix::unistd::geteuid().as_raw()
            || file.mode() & 0o077 != 0
        {
            return Err(CertificateError::NotPrivate(path));
        }
        let authority_file = dir.join(AUTHORITY_FILE);
        let text =
            certificate_of(&read(&path)?).ok_or_else(|| CertificateError::Content(path.clone()))?;
        if fs::read_to_string(&authority_file).ok().as_ref() != Some(&text) {
            replace(&authority_file, &text).map_err(|source| CertificateError::Write {
                path: authority_file.clone(),
                source,
            })?;
        }
        Ok(Self {
            fingerprint: fingerprint(&path)?,
            certificate: path.clone(),
            key: path,
            client_authority: None,
            authority_file: Some(authority_file),
        })
    }

    /// What clients are to trust, in PEM form.
    pub(crate) fn authority(&self) -> Option<String> {
        fs::read_to_string(self.authority_file.as_ref()?).ok()
    }
}

/// Makes this user's certificate unless it is there, and prints what clients know it by.
pub(crate) fn make_known() -> Result<(), CertificateError> {
    let Certificate {
        fingerprint,
        authority_file,
        ..
    } = Certificate::kept_or_made()?;
    crate::terminal::answer(format_args!("certificate (SHA-256): {fingerprint}"));
    if let Some(file) = authority_file {
        crate::terminal::answer(format_args!(
            "clients trust it with: --spice-ca-file={}",
            file.display()
        ));
    }
    Ok(())
}

/// The certificate in a file that holds a key, too.
fn certificate_of(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let from = text.find(begin)?;
    let to = text.get(from..)?.find(end)? + from + end.len();
    Some(format!("{}\n", text.get(from..to)?))
}

/// Writes a file that appears whole. Everybody may read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension(std::process::id().to_string());
    fs::write(&draft, text)?;
    fs::rename(&draft, path)
}

fn data_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let data =
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("caraway"))
}

/// Makes a key and a certificate of its own. The file appears whole, and the first of two makers wins.
fn make(dir: &Path, path: &Path) -> Result<(), CertificateError> {
    let failed = |source| CertificateError::Write {
        path: path.into(),
        source,
    };
    let text = made_text()?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    let draft = dir.join(format!("{FILE}.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let _ = fs::remove_file(&draft);
    written.map_err(failed)
}

fn made_text() -> Result<String, CertificateError> {
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    let host = host.filter(|name| !name.is_empty() && name.is_ascii());
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.extend(host.clone());
    let mut params = CertificateParams::new(names)?;
    let common_name = host.unwrap_or_else(|| "localhost".into());
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Caraway");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A client that is given it as an authority accepts it as what it signs, too.
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let year = 1970 + i32::try_from(now / (365 * 24 * 3600 + 6 * 3600)).unwrap_or(0);
    // Clocks of clients differ by hours, and the year is enough for that.
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + YEARS, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::Read {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn fingerprint(path: &Path) -> Result<String, CertificateError> {
    let text = read(path)?;
    let certificate = CertificateDer::from_pem_slice(&text)
        .map_err(|_| CertificateError::Content(path.into()))?;
    let hash = digest::digest(&digest::SHA256, &certificate);
    let pairs: Vec<String> = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    Ok(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("share/caraway");
        let made = Certificate::in_dir(&data).unwrap();
        assert_eq!(Certificate::in_dir(&data).unwrap(), made);
        assert_eq!(made.fingerprint.len(), 32 * 3 - 1);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&data), mode(&made.key)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "no draft stays");
        let authority = made.authority().unwrap();
        assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!authority.contains("PRIVATE"));
    }

    #[test]
    fn one_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let made = Certificate::in_dir(dir.path()).unwrap();
        fs::set_permissions(&made.key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Certificate::in_dir(dir.path()),
            Err(CertificateError::NotPrivate(_))
        ));
    }

    #[test]
    fn the_users_own_is_known_by_its_fingerprint_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let made = Certificate::in_dir(dir.path()).unwrap();
        let own = Certificate::of_files(&made.certificate, &made.key).unwrap();
        assert_eq!(own.fingerprint, made.fingerprint);
        assert_eq!(
            own.authority(),
            None,
            "whether it is its own authority is not known"
        );
        let text = dir.path().join("text");
        fs::write(&text, "text").unwrap();
        assert!(matches!(
            Certificate::of_files(&text, &text),
            Err(CertificateError::Content(_))
        ));
        assert!(matches!(
            Certificate::of_files(&dir.path().join("none"), &text),
            Err(CertificateError::Read { .. })
        ));
    }
}
