//! Collection `zips`: the ZIPs that were asked for, and what the sweeper does with them.

use futures_util::TryStreamExt;
use mongodb::Database;

use super::{
    Job, Scope, Zip,
    row::{self, Row, Stored},
};
use crate::{
    Error, Result,
    files::{Item, ItemKind},
    ids::{FileId, LinkId, UserId, ZipId},
    limits,
    stores::{
        lambda::Invoker,
        mongo::{Indexed, run},
        s3::Objects,
    },
    time::Timestamp,
};

/// The name of a ZIP of several documents.
const NAME: &str = "files.zip";

/// Collection `zips`.
#[derive(Clone)]
pub struct Zips {
    pub(super) rows: Indexed<Row>,
}

impl Zips {
    pub fn of(database: &Database) -> Self {
        Self { rows: Indexed::new(database.collection(row::COLLECTION), row::indexes) }
    }

    /// Inserts the row of a ZIP of these documents, which the requester may read. [`Invoker`] starts its builder.
    async fn begin(&self, scope: Scope, items: &[Item]) -> Result<Zip> {
        let now = Timestamp::now();
        let name = match items {
            [only] => match &only.kind {
                ItemKind::Folder => format!("{}.zip", only.name.as_str()),
                _ => format!("{}.zip", stem(only.name.as_str())),
            },
            _ => NAME.to_owned(),
        };
        let row = Row {
            id: ZipId::new(),
            user_id: scope.owner,
            link_id: scope.link,
            ids: items.iter().map(|item| item.id).collect(),
            name,
            state: Stored::Due,
            error: None,
            entries: None,
            bytes: None,
            done: 0,
            key: None,
            upload_id: None,
            lease: None,
            due_at: now,
            attempts: 0,
            plans: 0,
            expires_at: now + limits::ZIP_TTL,
        };
        run(self.rows.indexed().await?.insert_one(&row)).await?;
        // Counted after the insertion, so that requests at the same time do not exceed the limit together.
        let counted = async {
            if run(self.rows.count_documents(row::being_made(scope))).await? > limits::MAX_ZIPS_MADE {
                return Err(Error::Conflict("10 ZIPs are being made: wait until one is ready"));
            }
            if run(self.rows.count_documents(row::kept(scope))).await? > limits::MAX_ZIPS_KEPT {
                return Err(Error::Conflict("100 ZIPs were made within a day: wait until one is gone"));
            }
            Ok(())
        };
        if let Err(error) = counted.await {
            run(self.rows.delete_one(row::row(row.id))).await?;
            return Err(error);
        }
        Ok(row.into())
    }

    /// Begins a ZIP, and starts its builder.
    ///
    /// # Errors
    /// `Conflict` if the requester has too many ZIPs.
    pub async fn make(&self, scope: Scope, items: &[Item], archives: &Invoker) -> Result<Zip> {
        let zip = self.begin(scope, items).await?;
        // The row says that the ZIP is due, so the sweeper starts a builder that cannot be started now.
        if let Err(error) = archives.start(&Job { zip: zip.id }).await {
            tracing::warn!(error = error.cause(), zip = zip.id.to_string(), "a ZIP is not begun");
        }
        Ok(zip)
    }

    /// A ZIP that the requester may see.
    pub async fn show(&self, scope: Scope, id: ZipId) -> Result<Zip> {
        let found = run(self.rows.find_one(row::visible(id, scope))).await?;
        found.map(Zip::from).ok_or(Error::NotFound)
    }

    /// True if there is a row of this ZIP, of any state.
    pub async fn exists(&self, id: ZipId) -> Result<bool> {
        Ok(run(self.rows.find_one(row::row(id))).await?.is_some())
    }

    /// Deletes all ZIPs of a user, with those of the user's links.
    pub async fn delete_all_of(&self, owner: UserId) -> Result<()> {
        run(self.rows.update_many(row::all_of(owner), row::delete())).await?;
        Ok(())
    }

    /// Deletes all ZIPs that somebody with this link asked for.
    pub async fn delete_all_of_link(&self, owner: UserId, link: LinkId) -> Result<()> {
        run(self.rows.update_many(row::of_link(link, owner), row::delete())).await?;
        Ok(())
    }

    /// Deletes the ZIPs of requests that named one of these documents.
    pub async fn delete_all_with(&self, documents: &[FileId]) -> Result<()> {
        run(self.rows.indexed().await?.update_many(row::with_any_of(documents), row::delete())).await?;
        Ok(())
    }

    /// Starts builders for ZIPs whose builders have died, and removes expired ZIPs with their objects. Returns the numbers
    /// of both.
    pub async fn sweep(&self, objects: &Objects, invoker: &Invoker) -> Result<(usize, usize)> {
        let rows = self.rows.indexed().await?;
        let find = |matching| rows.find(matching).limit(limits::ZIPS_SWEPT);
        let expired: Vec<Row> = run(async { find(row::expired()).await?.try_collect().await }).await?;
        for zip in &expired {
            // From here on no builder renews its lease, nor takes the ZIP.
            run(rows.update_one(row::row(zip.id), row::delete())).await?;
            objects.delete_zip(zip.id, None).await?;
            run(rows.delete_one(row::row(zip.id))).await?;
        }
        let abandoned: Vec<Row> = run(async { find(row::abandoned()).await?.try_collect().await }).await?;
        for zip in &abandoned {
            invoker.start(&Job { zip: zip.id }).await?;
        }
        Ok((abandoned.len(), expired.len()))
    }
}

/// The name without its extension.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_has_the_name_of_its_document_without_the_extension() {
        assert_eq!([stem("a.txt"), stem("a"), stem(".a"), stem("a.tar.gz")], ["a", "a", ".a", "a.tar"]);
    }
}
