//! Names that must be free in their folder. Equal names are legal unless a request says otherwise. A request that does
//! stores the name's key, and a unique index decides between two such requests.

use futures_util::TryStreamExt;
use tokio::time::sleep;

use super::{
    Name, OnConflict,
    ledger::Files,
    names::{Named, Put, Wanted, key, spellings},
    row::{NamedRow, filter, sorted},
};
use crate::{
    Error, Result, limits,
    stores::mongo::{is_duplicate, run},
};

const TAKEN: Error = Error::Conflict("The name is taken");

impl Files {
    /// Gives a document its name by `put`, which is called with a name and its key: the key is to be stored with the
    /// name, and the unique index refuses the second of two equal keys. (A boxed future, because the compiler cannot show
    /// that those of an `AsyncFn` may go to another thread.)
    ///
    /// # Errors
    /// `The name is taken`; `A folder is not replaced`; those of `put`.
    pub(super) async fn name<'f, T: Send>(
        &self,
        wanted: Wanted<'_>,
        on_conflict: OnConflict,
        put: impl Put<'f, T>,
    ) -> Result<Named<T>> {
        let outcome = match on_conflict {
            OnConflict::Keep => put(wanted.name.clone(), None).await,
            OnConflict::Fail => self.put_if_free(wanted, put).await,
            OnConflict::Rename => self.put_numbered(wanted, put).await,
            OnConflict::Replace => return self.put_or_replace(wanted, put).await,
        };
        outcome.map(Named::Done)
    }

    async fn put_if_free<'f, T: Send>(&self, wanted: Wanted<'_>, put: impl Put<'f, T>) -> Result<T> {
        if self.taken(wanted).await?.is_some() {
            return Err(TAKEN);
        }
        match put(wanted.name.clone(), Some(key(wanted.name))).await {
            Err(error) if is_duplicate(&error) => Err(TAKEN),
            outcome => outcome,
        }
    }

    /// Puts the document with the lowest free number: none, or 2 and more.
    async fn put_numbered<'f, T: Send>(&self, wanted: Wanted<'_>, put: impl Put<'f, T>) -> Result<T> {
        let mut number = 1;
        for _ in 0..limits::NAMING_ATTEMPTS {
            let name;
            (name, number) = self.free_name(wanted, number).await?;
            let key = key(&name);
            match put(name, Some(key)).await {
                // Another request has just taken the number.
                Err(error) if is_duplicate(&error) => number += 1,
                outcome => return outcome,
            }
        }
        Err(TAKEN)
    }

    /// The wanted name with the lowest free number from `number` on.
    async fn free_name(&self, wanted: Wanted<'_>, mut number: u32) -> Result<(Name, u32)> {
        if number == 1 {
            if self.taken(wanted).await?.is_none() {
                return Ok((wanted.name.clone(), 1));
            }
            number = 2;
        }
        while number <= limits::MAX_NAME_NUMBER {
            let names: Vec<Name> = (number..number + limits::NAMES_AT_ONCE)
                .map(|number| wanted.name.numbered(number, wanted.is_folder))
                .collect();
            let keys: Vec<String> = names.iter().map(key).collect();
            let mut taken: Vec<String> = self
                .rows_named(wanted, &names, i64::from(limits::NAMES_AT_ONCE) * 4)
                .await?
                .iter()
                .filter(|row| row.id != wanted.id)
                .map(|row| key(&row.name()))
                .collect();
            taken.extend(self.taken_keys(wanted, &keys).await?);
            for (name, key) in names.iter().zip(&keys) {
                // Rows of equal names may have hidden others from the query above.
                let candidate = Wanted { name, ..wanted };
                if !taken.contains(key) && self.taken(candidate).await?.is_none() {
                    return Ok((name.clone(), number));
                }
                number += 1;
            }
        }
        Err(TAKEN)
    }

    async fn put_or_replace<'f, T: Send>(&self, wanted: Wanted<'_>, put: impl Put<'f, T>) -> Result<Named<T>> {
        for attempt in 0.. {
            match self.taken(wanted).await? {
                Some(Taken::By(row)) if row.is_folder() || wanted.is_folder => {
                    return Err(Error::Conflict("A folder is not replaced"));
                }
                Some(Taken::By(row)) => return Ok(Named::Replaces(row.id)),
                // An upload of the name is not complete yet: nothing is there to replace.
                Some(Taken::ByUpload) => {}
                None => match put(wanted.name.clone(), Some(key(wanted.name))).await {
                    Err(error) if is_duplicate(&error) => {}
                    outcome => return outcome.map(Named::Done),
                },
            }
            if attempt == limits::REPLACE_ATTEMPTS {
                break;
            }
            sleep(limits::REPLACE_RETRY).await;
        }
        Err(TAKEN)
    }

    /// The document in the folder that has an equal name; the oldest, if there are several.
    async fn taken(&self, wanted: Wanted<'_>) -> Result<Option<Taken>> {
        let wanted_key = key(wanted.name);
        let names = std::slice::from_ref(wanted.name);
        let rows = self.rows_named(wanted, names, limits::EQUAL_NAMES_READ).await?;
        let equal = rows.into_iter().find(|row| row.id != wanted.id && key(&row.name()) == wanted_key);
        if let Some(row) = equal {
            return Ok(Some(Taken::By(row)));
        }
        let keys = self.taken_keys(wanted, &[wanted_key]).await?;
        Ok((!keys.is_empty()).then_some(Taken::ByUpload))
    }

    /// Visible rows whose names are equal to one of these by the collation of the index, which is wider than that of
    /// keys.
    async fn rows_named(&self, wanted: Wanted<'_>, names: &[Name], most: i64) -> Result<Vec<NamedRow>> {
        let types = ["folder", "file", "image"];
        let names: Vec<Name> = names.iter().flat_map(spellings).collect();
        let matching = sorted::named(wanted.owner, filter::inside(wanted.folder), &types, Some(&names));
        let rows = self.rows.clone_with_type::<NamedRow>();
        self.with_indexes(|| {
            let find = rows.find(matching.clone()).collation(sorted::collation()).hint(sorted::by_name());
            let find = find.projection(filter::only_name()).limit(most);
            run(async { find.await?.try_collect().await })
        })
        .await
    }

    /// Those of these keys that rows in the folder have, visible or pending.
    async fn taken_keys(&self, wanted: Wanted<'_>, keys: &[String]) -> Result<Vec<String>> {
        let rows = self.rows.clone_with_type::<NamedRow>();
        let found: Vec<NamedRow> = self
            .with_indexes(|| {
                let find = rows.find(filter::with_name_key(wanted.owner, wanted.folder, keys));
                let find = find.hint(filter::name_key_index()).projection(filter::only_name_key());
                run(async { find.await?.try_collect().await })
            })
            .await?;
        Ok(found.into_iter().filter(|row| row.id != wanted.id).filter_map(|row| row.name_key).collect())
    }
}

/// Who has the name.
enum Taken {
    By(NamedRow),
    /// A row that is not visible yet.
    ByUpload,
}
