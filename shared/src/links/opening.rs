//! Opening a link: from a token to the file or folder that it leads to, and to what is inside.

use super::{Credentials, Link, Links, Opened, downloads::USED_UP, row, token};
use crate::{
    Error, Result,
    accounts::{passwords::Verdict, rate_limit::Address},
    files::{Cursor, File, Kind as FileKind, Located, Page, Parent, View},
    ids::{FileId, LinkId},
    stores::mongo::run,
    time::Timestamp,
};

impl Links {
    /// The link of a token, with its file.
    ///
    /// # Errors
    /// `NotFound` if there is no such link, or its file is deleted or in the trash. `PasswordRequired` if the link has a
    /// password, and the credentials do not open it; `TooManyFailures` after too many wrong ones. `Gone` if the link has
    /// expired or is used up.
    pub async fn open(&self, token: &str, credentials: &Credentials, visitor: &Address) -> Result<Opened> {
        let opened = self.open_for_download(token, credentials, visitor).await?;
        if opened.link.is_used_up() { Err(USED_UP) } else { Ok(opened) }
    }

    /// The same, also for a link that is used up: a visitor with a grant goes on with a download.
    ///
    /// # Errors
    /// The errors of [`Self::open`], but for `The link is used up`.
    pub async fn open_for_download(&self, token: &str, credentials: &Credentials, visitor: &Address) -> Result<Opened> {
        let link = self.admit(token, credentials, visitor).await?;
        if link.has_expired() {
            return Err(Error::Gone("The link has expired"));
        }
        let file = self.files.file_of(link.owner, link.file).await?;
        Ok(Opened { link, file })
    }

    /// The link of a token, if the credentials open it, whatever its state is.
    ///
    /// Every request with a password takes the same steps, whatever the token names: so the time of the answer does not
    /// tell a wrong password from a link that does not exist, and a guess at either costs the same. Without a password a
    /// forged token is refused without a store.
    pub async fn admit(&self, token: &str, credentials: &Credentials, visitor: &Address) -> Result<Link> {
        let id = token::link_of(&self.key, token);
        let Some(password) = &credentials.password else {
            let link = self.find(id.ok_or(Error::NotFound)?).await?.ok_or(Error::NotFound)?;
            return if self.is_open(&link, credentials) { Ok(link) } else { Err(Error::PasswordRequired) };
        };
        let link = self.find(id.unwrap_or_default()).await?;
        if let Some(link) = link {
            if self.is_open(&link, credentials) {
                return Ok(link);
            }
            let attempt = self.rate_limit.link(token, visitor).await?;
            return match self.passwords.check(password.clone(), link.password.clone()).await? {
                Verdict::Right | Verdict::RightButLegacy(_) => {
                    let _ = attempt.succeeded().await?;
                    Ok(link)
                }
                Verdict::Wrong => Err(refused(attempt.failed().await, Error::PasswordRequired)),
            };
        }
        let attempt = self.rate_limit.link(token, visitor).await?;
        self.passwords.check(password.clone(), None).await?;
        Err(refused(attempt.failed().await, Error::NotFound))
    }

    /// A key that opens the link for an hour in place of its password, and the expiry of the key.
    pub fn unlock_key(&self, link: &Link) -> (String, Timestamp) {
        token::unlock_key(&self.key, link)
    }

    fn is_open(&self, link: &Link, credentials: &Credentials) -> bool {
        let has_key = || credentials.key.as_deref().is_some_and(|sent| token::unlocks(&self.key, link, sent));
        !link.has_password() || has_key()
    }

    async fn find(&self, id: LinkId) -> Result<Option<Link>> {
        Ok(run(self.rows.find_one(row::link(id)).projection(row::without_claims())).await?.map(Link::from))
    }

    /// A file that the link lets its visitors read: the file of the link, or one below its folder.
    ///
    /// # Errors
    /// `NotFound`, for every id if the link takes uploads.
    pub async fn find_file(&self, opened: &Opened, id: FileId) -> Result<File> {
        if opened.link.takes_uploads() {
            return Err(Error::NotFound);
        }
        if id == opened.file.id {
            return Ok(opened.file.clone());
        }
        self.files.file_below(opened.link.owner, opened.file.id, id).await
    }

    /// The folder whose content a visitor asks for: the folder of the link, or one below it. `None` if the link leads to a
    /// file, which is all of its list.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder, or the link takes uploads.
    pub async fn find_folder(&self, opened: &Opened, folder: Option<FileId>) -> Result<Option<Parent>> {
        let file = self.find_file(opened, folder.unwrap_or(opened.file.id)).await?;
        match (file.kind, folder) {
            (FileKind::Folder, _) => Ok(Some(Parent::Folder(file.id))),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(Error::NotFound),
        }
    }

    /// A file or folder below the folder of the link, with its path from there to itself.
    ///
    /// # Errors
    /// `NotFound`, for every id if the link takes uploads.
    pub async fn way(&self, opened: &Opened, id: FileId) -> Result<Located> {
        if opened.link.takes_uploads() {
            return Err(Error::NotFound);
        }
        let Located { file, path } = self.files.located(opened.link.owner, id).await?;
        let at = path.iter().position(|step| step.id == opened.file.id).ok_or(Error::NotFound)?;
        Ok(Located { file, path: path[at + 1..].to_vec() })
    }

    /// Up to `limit` documents of a folder that [`Self::find_folder`] has found, after the cursor.
    pub async fn list(&self, view: View, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
        self.files.sorted(view, cursor, limit).await
    }
}

/// The error for a wrong password, unless the failure could not be counted, or was one too many.
fn refused(counted: Error, refusal: Error) -> Error {
    match counted {
        Error::Unauthorized => refusal,
        error => error,
    }
}
