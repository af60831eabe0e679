//! Documents as a ZIP has them: names and objects, of any number of documents and folders.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use mongodb::options::Hint;

use super::{
    Content, File, Kind, Name, Parent,
    ledger::Files,
    row::{Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::{
        mongo::{run, run_within},
        s3::Key,
    },
    time::Timestamp,
};

/// A visible document, as far as a ZIP needs it.
pub struct Item {
    pub id: FileId,
    pub parent: Parent,
    pub name: Name,
    pub kind: ItemKind,
    /// The time of the content.
    pub modified: Timestamp,
}

pub enum ItemKind {
    Folder,
    /// Content in the bucket.
    Stored {
        key: Key,
        size: u64,
        crc32: Option<u32>,
    },
    /// Content on the disk of the original service.
    OnLegacyDisk,
}

impl From<Row> for Item {
    fn from(row: Row) -> Self {
        let crc32 = row.crc32();
        let File { id, parent, name, kind, content_at, .. } = row.into();
        let kind = match kind {
            Kind::Folder => ItemKind::Folder,
            Kind::File(content) | Kind::Image(content, _) => match content {
                Content::Stored { key, size } => ItemKind::Stored { key, size, crc32 },
                Content::OnLegacyDisk => ItemKind::OnLegacyDisk,
            },
        };
        Self { id, parent, name, kind, modified: content_at }
    }
}

impl Files {
    /// These documents of the owner, in this order.
    ///
    /// # Errors
    /// `NotFound` if the owner has not all of them.
    pub async fn items(&self, owner: UserId, ids: &[FileId]) -> Result<Vec<Item>> {
        let items = self.items_of(owner, ids).await?;
        if items.len() < ids.len() { Err(Error::NotFound) } else { Ok(items) }
    }

    /// Those of these documents that the owner has, in this order.
    pub async fn items_of(&self, owner: UserId, ids: &[FileId]) -> Result<Vec<Item>> {
        let mut found = HashMap::new();
        for some in ids.chunks(limits::ITEMS_AT_ONCE) {
            let steps = filter::reachable(filter::visible_among(owner, some)).into_iter();
            let rows = self.rows.aggregate(steps.chain(filter::without_folders())).hint(Hint::Keys(filter::by_id()));
            let rows: Vec<Row> = run(async { rows.with_type::<Row>().await?.try_collect().await }).await?;
            found.extend(rows.into_iter().map(|row| (row.id, Item::from(row))));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Calls `each` with every visible document in these folders, those of a folder one after the other. Few rows are held
    /// at once.
    pub async fn items_inside(
        &self,
        owner: UserId,
        folders: &[FileId],
        mut each: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        for some in folders.chunks(limits::FOLDERS_AT_ONCE) {
            let rows = self.rows.indexed().await?.find(filter::visible_inside_any(owner, some));
            let rows = rows.hint(filter::listing_index()).batch_size(limits::COPY_BATCH);
            let mut rows = run(rows).await?;
            loop {
                let batch = async {
                    let mut batch = Vec::new();
                    while batch.len() < limits::COPY_BATCH as usize
                        && let Some(row) = rows.try_next().await?
                    {
                        batch.push(row);
                    }
                    Ok(batch)
                };
                let batch = run_within(limits::MONGODB_BULK_TIMEOUT, batch).await?;
                if batch.is_empty() {
                    break;
                }
                batch.into_iter().map(Item::from).try_for_each(&mut each)?;
            }
        }
        Ok(())
    }

    /// Stores the CRC-32 of an object, in all rows that name the object.
    pub async fn remember_crc32(&self, key: &Key, crc32: u32) -> Result<()> {
        let update = || async {
            let update = self.rows.update_many(filter::with_key(key), update::set_crc32(crc32));
            run(update.hint(filter::key_index())).await
        };
        self.with_indexes(update).await?;
        Ok(())
    }
}
