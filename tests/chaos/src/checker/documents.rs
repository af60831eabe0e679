//! The rows of each person beside the model, when everything has settled. From here on the model knows in which state
//! each entry is.

use std::collections::{HashMap, HashSet};

use e2e::ledger::Row;
use mongodb::bson::{Bson, oid::ObjectId};

use crate::{
    Anomaly, Run,
    model::{Entry, Known, Place, Presence, Stage, State},
    workload::Person,
};

/// Every row was requested by the person, exists once, and is in a state that the model allows. Every entry that must
/// have a row has one.
pub fn check(run: &Run<'_>, person: &mut Person<'_>, rows: &[Row]) {
    let is_theirs = |row: &&Row| row.get_object_id("userId").ok() == Some(person.id);
    let (versions, documents): (Vec<&Row>, Vec<&Row>) =
        rows.iter().filter(is_theirs).partition(|row| row.version_of().is_some());
    let known = &mut person.known;
    let told: HashSet<usize> = (0..known.entries.len()).filter(|at| known.entries[*at].id.is_some()).collect();
    let found = identify(known, &documents);

    for row in &documents {
        if let Some(at) = id(row).and_then(|id| found.get(&id)) {
            check_state(run, known, *at, row);
        } else {
            check_stranger(run, known, row);
        }
    }
    let with_row: HashSet<usize> = found.values().copied().collect();
    let missing: Vec<usize> = (0..known.entries.len()).filter(|at| !with_row.contains(at)).collect();
    for at in &missing {
        if known.standing(*at) == Presence::Certain {
            let entry = &known.entries[*at];
            run.violated(Anomaly::Lost, format!("{} ({:?}) has no row", entry.name(), entry.id));
        }
    }
    for at in missing {
        known.entries[at].open.clear();
        known.entries[at].states.iter_mut().for_each(|state| state.stage = Stage::Gone);
    }
    for at in &with_row {
        if known.standing(*at) == Presence::Never {
            let anomaly = if told.contains(at) { Anomaly::Resurrected } else { Anomaly::Unrequested };
            let entry = &known.entries[*at];
            run.violated(anomaly, format!("a row of {} ({:?})", entry.name(), entry.id));
        }
    }
    for version in versions {
        let document = version.version_of().and_then(|document| found.get(&document));
        if document.is_none_or(|at| known.standing(*at) == Presence::Never) {
            run.violated(Anomaly::Resurrected, format!("a version of no document: {version}"));
        }
    }
}

/// Finds the entries of rows: by the id, or, where no answer has told the id, by the folder and the name. Folders come
/// before what is in them.
fn identify(known: &mut Known, rows: &[&Row]) -> HashMap<ObjectId, usize> {
    let by_id: HashMap<ObjectId, usize> =
        known.entries.iter().enumerate().filter_map(|(at, entry)| Some((entry.id?, at))).collect();
    let of_row = |row: &&Row| id(row).and_then(|id| Some((id, *by_id.get(&id)?)));
    let mut found: HashMap<ObjectId, usize> = rows.iter().filter_map(of_row).collect();
    loop {
        let before = found.len();
        for row in rows {
            let Some(id) = id(row).filter(|id| !found.contains_key(id)) else { continue };
            let Some(place) = place(row, &found) else { continue };
            if let Some(at) = unknown(known, row, place) {
                let entry = &mut known.entries[at];
                entry.id = Some(id);
                if entry.is_numbered {
                    entry.is_numbered = false;
                    let name = row.get_str("name").unwrap_or_default();
                    entry.states.iter_mut().for_each(|state| name.clone_into(&mut state.name));
                }
                found.insert(id, at);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The entry without an id that a row may be of; the most certain one, if there are several.
fn unknown(known: &Known, row: &Row, place: Place) -> Option<usize> {
    let name = row.get_str("name").unwrap_or_default();
    let is_it = |at: &usize| {
        let entry = &known.entries[*at];
        let fits = |state: &State| {
            state.parent == place && entry.may_be_called(state, name) && size(entry, state) == row.size()
        };
        entry.id.is_none() && entry.states.iter().any(fits)
    };
    // The last of the greatest is taken, so the entries are reversed.
    (0..known.entries.len()).rev().filter(is_it).max_by_key(|at| known.presence(*at))
}

/// The place of a row; `None` if its folder is not known.
fn place(row: &Row, found: &HashMap<ObjectId, usize>) -> Option<Place> {
    match row.get("parentId") {
        Some(Bson::ObjectId(folder)) => found.get(folder).map(|at| Some(*at)),
        _ => Some(None),
    }
}

fn id(row: &Row) -> Option<ObjectId> {
    row.get_object_id("_id").ok()
}

fn size(entry: &Entry, state: &State) -> Option<i64> {
    entry.contents.get(state.content).map(|content| i64::try_from(content.size).unwrap_or(i64::MAX))
}

/// The row is in a state that the model allows, and the model learns which.
fn check_state(run: &Run<'_>, known: &mut Known, at: usize, row: &Row) {
    let entry = &known.entries[at];
    let stage = if row.is_trashed() { Stage::Trashed } else { Stage::Visible };
    let fits = |state: &&State| {
        let folder = state.parent.map(|parent| known.entries[parent].id);
        let is_there = match row.get("parentId") {
            Some(Bson::ObjectId(parent)) => folder == Some(Some(*parent)),
            parent => folder.is_none() && matches!(parent, Some(Bson::Int32(0) | Bson::Int64(0))),
        };
        state.stage == stage
            && is_there
            && row.get_str("name").is_ok_and(|name| name == state.name)
            && row.get_bool("isPublic").ok() == Some(state.is_public)
            && row.size() == size(entry, state)
    };
    let states: Vec<State> = entry.states.iter().filter(fits).cloned().collect();
    let has_row = |state: &State| matches!(state.stage, Stage::Visible | Stage::Trashed);
    if !states.is_empty() {
        let entry = &mut known.entries[at];
        entry.states = states;
        entry.open.clear();
    } else if entry.states.iter().any(has_row) {
        run.violated(Anomaly::Altered, format!("{} should be {entry:?}, and is {row}", entry.name()));
    }
}

/// A row that no entry is for.
fn check_stranger(run: &Run<'_>, known: &Known, row: &Row) {
    let name = row.get_str("name").unwrap_or_default();
    let is_known = known.entries.iter().any(|entry| entry.states.iter().any(|state| state.name == name));
    // New content for a document that was hidden or deleted meanwhile becomes a document of its own.
    let is_replacement = |entry: &Entry| {
        let is_sent = entry.contents.iter().skip(1).any(|content| i64::try_from(content.size).ok() == row.size());
        is_sent && entry.states.iter().any(|state| state.name == name)
    };
    if known.entries.iter().any(is_replacement) {
        return run.tally.count("replacements of their own");
    }
    let anomaly = if is_known { Anomaly::Duplicated } else { Anomaly::Unrequested };
    run.violated(anomaly, format!("another row called {name:?}: {row}"));
}

/// The folders above each row lead to the root. What is in the trash may have lost its folder.
pub fn check_places(run: &Run<'_>, rows: &[Row]) {
    let by_id: HashMap<ObjectId, &Row> = rows.iter().filter_map(|row| Some((id(row)?, row))).collect();
    for row in rows {
        let (mut path, mut next) = (Vec::new(), Some(row));
        let mut is_trashed = false;
        while let Some(row) = next {
            is_trashed |= row.is_trashed();
            path.extend(id(row));
            let Some(Bson::ObjectId(folder)) = row.get("parentId") else { break };
            next = by_id.get(folder).copied();
            if path.contains(folder) {
                // What lies below a circle is not in it.
                if path.first() == Some(folder) {
                    run.violated(Anomaly::Cycle, format!("folders are in a circle: {path:?}"));
                }
                break;
            }
            if next.is_none() && !is_trashed {
                run.violated(Anomaly::Cycle, format!("the folders above {row} end at {folder}, which does not exist"));
            }
        }
    }
}
