//! Links with a number of downloads, and the visitors who have their tokens.

use e2e::{Answer, Client};
use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

use super::{ATTEMPTS, Outcome, PATIENCE, Person, id_in, wrong};
use crate::{
    Anomaly,
    model::{Kind, Presence},
    mutations,
};

/// The counter of links.
const LINKS: &str = "acknowledged links";

/// A link, and what its visitors got.
pub struct Shared {
    pub id: ObjectId,
    /// The index of the file.
    pub at: usize,
    pub most: usize,
    /// The number of visitors.
    pub asked: usize,
    /// The number of visitors who got the bytes.
    pub served: usize,
    /// Redis died meanwhile, and lost what it knew of the visitors. They may have been counted again.
    pub is_forgotten: bool,
}

impl Person<'_> {
    /// Shares a file with more visitors than the link admits, who ask at once and then again.
    pub(super) async fn share(&mut self) {
        let Some(at) = self.any(Presence::Certain, |entry| entry.kind != Kind::Folder) else { return };
        let visitors = self.rng.usize(2..6);
        let most = self.rng.usize(1..visitors);
        self.share_at(at, most, visitors).await;
    }

    async fn share_at(&mut self, at: usize, most: usize, visitors: usize) -> Option<ObjectId> {
        let id = self.known.entries[at].id?.to_hex();
        let body = json!({ "fileId": id, "maxDownloads": most });
        let created = match self.change(|client| client.request("POST", "/links").json(&body)).await {
            Outcome::Answer(answer) if answer.status == 201 => answer,
            Outcome::Answer(answer) => {
                self.unless(false, "share", at, &answer);
                return None;
            }
            Outcome::Indeterminate => return None,
        };
        self.acknowledged(LINKS);
        let link = id_in(&created)?;
        let token = serde_json::from_slice::<Value>(&created.body).ok()?["token"].as_str()?.to_owned();
        let path = format!("/shared/{token}/files/{id}/data");
        let deaths = self.run.redis_deaths.get();
        let (anyone, names) = (self.anyone.clone(), (0..visitors).map(|n| format!("visitor {n}")).collect::<Vec<_>>());
        let first = join_all(names.iter().map(|name| visit(&anyone, name, &path))).await;
        let is_served = |answer: &Option<Answer>| answer.as_ref().is_some_and(|answer| answer.status == 200);
        let second = join_all(names.iter().map(|name| visit(&anyone, name, &path))).await;
        let is_forgotten = deaths != self.run.redis_deaths.get();
        let mut served = 0;
        for (first, second) in first.iter().zip(&second) {
            served += usize::from(is_served(first) || is_served(second));
            for answer in [first, second].into_iter().flatten() {
                let anomaly = if answer.status == 410 { None } else { wrong(&self.known, at, answer) };
                if let Some(anomaly) = anomaly {
                    self.run.violated(anomaly, format!("a visitor of {link}: {answer}"));
                }
            }
            let is_refused_now = second.as_ref().is_some_and(|answer| answer.status == 410);
            if is_served(first) && is_refused_now && !is_forgotten {
                self.run.violated(Anomaly::WrongDownloads, format!("{link} refuses a visitor who was counted"));
            }
        }
        if served > most {
            let what = format!("{served} visitors got what {link} gives to {most}");
            self.run.violated(Anomaly::WrongDownloads, what);
        }
        self.shared.push(Shared { id: link, at, most, asked: visitors, served, is_forgotten });
        Some(link)
    }

    /// A function counts a download and dies before it sets the grant, and then the download is counted again.
    pub(super) async fn plant_second_count(&mut self) -> Option<()> {
        let at = self.new_file().await;
        let link = self.share_at(at, 3, 1).await?;
        mutations::count_again(self.run.stack, link).await.ok()
    }
}

/// The answer of the link to a visitor, who asks again while there is none.
async fn visit(anyone: &Client, visitor: &str, path: &str) -> Option<Answer> {
    for _ in 0..ATTEMPTS {
        let request = anyone.request("GET", path).header("User-Agent", visitor);
        match request.send_within(PATIENCE).await {
            Ok(answer) if answer.status < 500 => return Some(answer),
            _ => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
    }
    None
}
