//! Passwords: stored as Argon2id. The original service's SHA-1 is accepted, and replaced at the next login.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::str::FromStr;

use crate::{Error, Result, config::Scheme, digest::sha1_hex, limits};

/// A password as it was typed: its exact bytes, at most [`limits::MAX_PASSWORD_BYTES`]. Not `Debug`.
#[derive(Clone)]
pub struct Password(String);

impl FromStr for Password {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > limits::MAX_PASSWORD_BYTES {
            return Err(Error::Invalid("Invalid password"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The result of a password check.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but stored in a legacy form, which this hash should replace.
    RightButLegacy(String),
}

/// Hashes and checks passwords, on threads of their own, because each takes tens of milliseconds of CPU.
#[derive(Clone, Copy)]
pub struct Passwords(Scheme);

impl Passwords {
    pub fn new(scheme: Scheme) -> Self {
        Self(scheme)
    }

    /// Returns the form of a password to store.
    pub async fn hash(self, password: Password) -> Result<String> {
        on_a_thread(move || match self.0 {
            Scheme::Argon2id => argon2id(&password.0),
            Scheme::Sha1 => Ok(sha1_hex(password.0.as_bytes())),
        })
        .await
    }

    /// Compares a password with the stored form, `None` for an account that does not exist.
    ///
    /// Every attempt costs one Argon2id, whatever is stored, so the time of an answer reveals nothing. Only the one
    /// right login that replaces a wrapped digest costs two.
    pub async fn check(self, password: Password, stored: Option<String>) -> Result<Verdict> {
        on_a_thread(move || match stored.as_deref().map(Stored::of) {
            Some(Stored::Argon2id(hash)) => {
                Ok(if verifies(&hash, &password.0) { Verdict::Right } else { Verdict::Wrong })
            }
            Some(Stored::Wrapped(hash)) => {
                if !verifies(&hash, &sha1_hex(password.0.as_bytes())) {
                    Ok(Verdict::Wrong)
                } else if self.0 == Scheme::Sha1 {
                    Ok(Verdict::Right)
                } else {
                    argon2id(&password.0).map(Verdict::RightButLegacy)
                }
            }
            Some(Stored::Sha1(digest)) => {
                let hash = argon2id(&password.0)?;
                if !equal(digest, &sha1_hex(password.0.as_bytes())) {
                    Ok(Verdict::Wrong)
                } else if self.0 == Scheme::Sha1 {
                    Ok(Verdict::Right)
                } else {
                    Ok(Verdict::RightButLegacy(hash))
                }
            }
            None | Some(Stored::Unknown) => {
                argon2id(&password.0)?;
                Ok(Verdict::Wrong)
            }
        })
        .await
    }
}

/// Wraps a bare SHA-1, until somebody logs in with its password: the digest under Argon2id. `None` for any other form.
pub async fn wrap(stored: String) -> Result<Option<String>> {
    on_a_thread(move || match Stored::of(&stored) {
        // A login computes the digest in lower case.
        Stored::Sha1(digest) => Ok(Some(format!("sha1:{}", argon2id(&digest.to_ascii_lowercase())?))),
        Stored::Argon2id(_) | Stored::Wrapped(_) | Stored::Unknown => Ok(None),
    })
    .await
}

/// The forms that `users.password` may hold.
enum Stored<'a> {
    /// The PHC string of the password.
    Argon2id(PasswordHash),
    /// `sha1:` and the PHC string of the SHA-1 hex: a legacy digest that was wrapped at rest.
    Wrapped(PasswordHash),
    /// 40 hex digits, as the original stores.
    Sha1(&'a str),
    Unknown,
}

impl<'a> Stored<'a> {
    fn of(text: &'a str) -> Self {
        if let Some(phc) = text.strip_prefix("sha1:") {
            return PasswordHash::new(phc).map_or(Self::Unknown, Self::Wrapped);
        }
        if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Self::Sha1(text);
        }
        PasswordHash::new(text).map_or(Self::Unknown, Self::Argon2id)
    }
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(12_288, 3, 1, None).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn argon2id(text: &str) -> Result<String> {
    let hash: PasswordHash =
        hasher()?.hash_password(text.as_bytes()).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
    Ok(hash.to_string())
}

fn verifies(hash: &PasswordHash, text: &str) -> bool {
    Argon2::default().verify_password(text.as_bytes(), hash).is_ok()
}

/// Compares without stopping at the first difference; the case of hex digits does not matter.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes().zip(b.bytes()).fold(0, |differing, (a, b)| differing | (a.to_ascii_lowercase() ^ b)) == 0
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.into()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "toto1234!";
    const SHA1: &str = "89cad29e3ebc1035b29b1478a8e70854f25fa2b2";

    async fn check(scheme: Scheme, password: &str, stored: &str) -> Verdict {
        Passwords::new(scheme).check(password.parse().unwrap(), Some(stored.into())).await.unwrap()
    }

    #[tokio::test]
    async fn a_new_password_is_argon2id_with_the_parameters_of_the_contract() {
        let hash = Passwords::new(Scheme::Argon2id).hash(PASSWORD.parse().unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
        assert_eq!(check(Scheme::Argon2id, PASSWORD, &hash).await, Verdict::Right);
        assert_eq!(check(Scheme::Argon2id, "toto1234", &hash).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn the_scheme_sha1_writes_what_the_original_writes() {
        assert_eq!(Passwords::new(Scheme::Sha1).hash(PASSWORD.parse().unwrap()).await.unwrap(), SHA1);
        assert_eq!(check(Scheme::Sha1, PASSWORD, SHA1).await, Verdict::Right);
    }

    #[tokio::test]
    async fn both_legacy_forms_verify_and_are_replaced() {
        let wrapped = format!("sha1:{}", argon2id(SHA1).unwrap());
        for stored in [SHA1, &SHA1.to_uppercase(), &wrapped] {
            let Verdict::RightButLegacy(hash) = check(Scheme::Argon2id, PASSWORD, stored).await else {
                panic!("{stored} does not verify");
            };
            assert_eq!(check(Scheme::Argon2id, PASSWORD, &hash).await, Verdict::Right);
            assert_eq!(check(Scheme::Argon2id, "wrong", stored).await, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_bare_sha1_is_wrapped_and_nothing_else_is() {
        for digest in [SHA1, &SHA1.to_uppercase()] {
            let wrapped = wrap(digest.into()).await.unwrap().unwrap();
            assert!(wrapped.starts_with("sha1:$argon2id$v=19$m=12288,t=3,p=1$"), "{wrapped}");
            assert_eq!(check(Scheme::Sha1, PASSWORD, &wrapped).await, Verdict::Right);
            assert_eq!(check(Scheme::Argon2id, "wrong", &wrapped).await, Verdict::Wrong);
            assert_eq!(wrap(wrapped).await.unwrap(), None);
        }
        for other in ["", PASSWORD, &SHA1[1..], &argon2id(PASSWORD).unwrap()] {
            assert_eq!(wrap(other.into()).await.unwrap(), None, "{other}");
        }
    }

    #[tokio::test]
    async fn an_unknown_form_never_verifies() {
        for stored in ["", PASSWORD, "sha1:", "$argon2id$", "$2b$10$abc"] {
            assert_eq!(check(Scheme::Argon2id, PASSWORD, stored).await, Verdict::Wrong, "{stored}");
        }
    }

    #[test]
    fn a_password_may_have_1024_bytes_and_no_more() {
        assert!("x".repeat(1024).parse::<Password>().is_ok());
        assert!("x".repeat(1025).parse::<Password>().is_err());
    }
}
