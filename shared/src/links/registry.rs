//! The links of an owner: create, list, change, delete.

use futures_util::TryStreamExt;
use mongodb::Database;

use super::{
    Change, Kind, Link, NewKind, NewLink, Opened, UploadLimits,
    row::{self, Row},
    token,
};
use crate::{
    Config, Error, Result,
    accounts::{
        passwords::{Password, Passwords},
        rate_limit::RateLimit,
    },
    config::Scheme,
    digest::MacKey,
    files::{Files, Kind as FileKind, OnConflict, Parent},
    ids::{FileId, LinkId, TicketId, UserId},
    limits,
    stores::{
        mongo::{Indexed, run},
        redis::Redis,
    },
    time::Timestamp,
    uploads::tickets::{Grants, Scope, Tickets},
};

#[derive(Clone)]
pub struct Links {
    pub(super) rows: Indexed<Row>,
    pub(super) files: Files,
    pub(super) tickets: Tickets,
    revoked: Grants,
    pub(super) passwords: Passwords,
    pub(super) rate_limit: RateLimit,
    pub(super) redis: Redis,
    pub(super) key: MacKey,
}

impl Links {
    /// # Errors
    /// The key of the tickets is missing or too short.
    pub fn of(database: &Database, redis: Redis, files: Files, config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            rows: row::collection(database),
            files,
            tickets: Tickets::of(database, config)?,
            revoked: Grants::of(database),
            // The original knows no links, so it reads none of these passwords.
            passwords: Passwords::new(Scheme::Argon2id),
            rate_limit: RateLimit::new(redis.clone(), config),
            redis,
            key: MacKey::of(config)?,
        })
    }

    /// The token by which others open the link.
    pub fn token(&self, link: &Link) -> String {
        token::token(&self.key, link.id)
    }

    /// # Errors
    /// `NotFound` if the owner has no such file. `Only a folder takes uploads`; `Conflict` if the owner has too many
    /// links.
    pub async fn create(&self, new: NewLink) -> Result<Link> {
        let NewLink { owner, file, kind, password, expires_at } = new;
        let takes_uploads = matches!(kind, NewKind::Upload(_));
        let shared = self.files.file_of(owner, file).await?;
        if takes_uploads && shared.kind != FileKind::Folder {
            return Err(Error::Invalid("Only a folder takes uploads"));
        }
        let all = self.rows.indexed().await?.count_documents(row::links_of(owner, None)).limit(limits::MAX_LINKS);
        if run(all).await? >= limits::MAX_LINKS {
            return Err(Error::Conflict("You have 10000 links: delete some"));
        }
        let password = self.hash(password).await?;
        let id = LinkId::new();
        let kind = match kind {
            NewKind::Download { max_downloads } => Kind::Download { max_downloads },
            // Without its link the document of the tickets is of no use, and is deleted with the account.
            NewKind::Upload(limits) => {
                let scope = scope(owner, file, &limits);
                let ticket = self.tickets.begin_link(id, scope, limits.max_files, expires_at).await?;
                Kind::Upload { limits, ticket }
            }
        };
        let row = Row::from(Link { id, owner, file, kind, password, expires_at, downloads: 0, last_used_at: None });
        run(self.rows.insert_one(&row)).await?;
        let link = Link::from(row);
        // The sweeper deletes the links of a file before the row of the file. If it was faster than this request, the
        // file is gone now, and the link goes too.
        match self.files.file_of(owner, file).await {
            Ok(_) => Ok(link),
            Err(error) => {
                self.remove(&link).await?;
                Err(error)
            }
        }
    }

    /// The links of an owner, or those of one file, newest first; at most [`limits::MAX_LINKS_LISTED`].
    pub async fn of_owner(&self, owner: UserId, file: Option<FileId>) -> Result<Vec<Link>> {
        let find = self.rows.indexed().await?.find(row::links_of(owner, file)).projection(row::without_claims());
        let find = find.sort(row::newest_first()).limit(limits::MAX_LINKS_LISTED);
        let rows: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(Link::from).collect())
    }

    /// The link with this id.
    pub async fn get(&self, owner: UserId, id: LinkId) -> Result<Link> {
        let find = self.rows.find_one(row::link_of(owner, id)).projection(row::without_claims());
        run(find).await?.map(Link::from).ok_or(Error::NotFound)
    }

    /// Changes a link, and returns it.
    pub async fn change(&self, owner: UserId, id: LinkId, change: Change) -> Result<Link> {
        let mut link = self.get(owner, id).await?;
        if let Some(password) = change.password {
            link.password = self.hash(password).await?;
        }
        if let Some(expires_at) = change.expires_at {
            link.expires_at = expires_at;
        }
        match &mut link.kind {
            Kind::Download { max_downloads } => *max_downloads = change.max_downloads.unwrap_or(*max_downloads),
            Kind::Upload { limits, .. } => {
                limits.max_bytes =
                    change.max_bytes.map_or(limits.max_bytes, |most| most.unwrap_or(limits::MAX_FILE_BYTES));
                limits.max_files = change.max_files.unwrap_or(limits.max_files);
                limits.types = change.types.unwrap_or_else(|| std::mem::take(&mut limits.types));
            }
        }
        // If the second update fails, the request can be repeated.
        if let Kind::Upload { limits, ticket } = &link.kind {
            let scope = scope(owner, link.file, limits);
            self.tickets.change_link(*ticket, &scope, limits.max_files, link.expires_at).await?;
        }
        let done = run(self.rows.update_one(row::link_of(owner, id), row::change(&link))).await?;
        if done.matched_count == 0 { Err(Error::NotFound) } else { Ok(link) }
    }

    /// Deletes a link. Its tickets are not valid any more either.
    pub async fn delete(&self, owner: UserId, id: LinkId) -> Result<()> {
        self.remove(&self.get(owner, id).await?).await
    }

    async fn remove(&self, link: &Link) -> Result<()> {
        if let Kind::Upload { ticket, .. } = link.kind {
            self.revoked.revoke(&[ticket]).await?;
        }
        run(self.rows.delete_one(row::link(link.id))).await?;
        Ok(())
    }

    /// A ticket for a visitor who uploads through the link, and the expiry of the ticket.
    ///
    /// # Errors
    /// `NotFound` if the link takes no uploads; the errors of [`Files::check_parent`].
    pub async fn ticket(&self, opened: &Opened) -> Result<(String, Timestamp)> {
        let (_, ticket) = self.begin_uploads(opened).await?;
        let expires_at = Timestamp::now() + std::time::Duration::from_secs(limits::TICKET_DEFAULT_SECONDS.into());
        let expires_at = opened.link.expires_at.map_or(expires_at, |end| end.min(expires_at)).in_whole_seconds();
        Ok((self.tickets.sign(ticket, expires_at), expires_at))
    }

    /// The limits of a visitor's uploads through the link, and the document that counts the files.
    ///
    /// # Errors
    /// `NotFound` if the link takes no uploads; the errors of [`Files::check_parent`].
    pub async fn begin_uploads(&self, opened: &Opened) -> Result<(Scope, TicketId)> {
        let Kind::Upload { limits, ticket } = &opened.link.kind else { return Err(Error::NotFound) };
        let scope = scope(opened.link.owner, opened.file.id, limits);
        self.files.check_parent(scope.owner, scope.parent).await?;
        run(self.rows.update_one(row::link(opened.link.id), row::use_now())).await?;
        Ok((scope, *ticket))
    }

    async fn hash(&self, password: Option<Password>) -> Result<Option<String>> {
        match password {
            Some(password) => self.passwords.hash(password).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The limits of the tickets of a link. Nobody who uploads learns which names the folder has.
fn scope(owner: UserId, folder: FileId, limits: &UploadLimits) -> Scope {
    Scope {
        owner,
        parent: Parent::Folder(folder),
        is_public: false,
        max_bytes: limits.max_bytes,
        types: limits.types.clone(),
        on_conflict: OnConflict::Rename,
    }
}
