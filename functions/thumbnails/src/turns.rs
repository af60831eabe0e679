//! The order in which a batch is worked on, so that an image that kills the worker does not keep others from their
//! thumbnails. A decoder may run out of stack or of time, and then no code of the worker comes to run any more: the whole
//! batch comes again, with all that was done in it.
//!
//! Therefore the row of an image is marked while the image is decoded. A mark that is left behind is a death:
//!
//! 1. Images that no worker has died of come first.
//! 2. An image that a worker has died of once is decoded a second time, for it may have been an accident, but only after
//!    everything else in its batch is done.
//! 3. An image that workers have died of [`limits::MAX_DECODINGS`] times fails without being decoded.
//! 4. Where the queue hands out a message of the batch for the last time, no image is decoded a second time: a death would
//!    send its neighbours to the dead-letter queue. Its message is done, its row stays due, and the sweeper sends a new one.
//!
//! So each image that kills costs its neighbours one receive, and then they are done: with four of them in a batch of five,
//! the fifth image has its thumbnails at its fifth receive at the latest. That is the worst case. It needs all messages to
//! come together again each time, and they come apart (see [`limits::RETRY_APART`]).

use shared::limits;

/// The outcome of an attempt at a message.
#[derive(PartialEq)]
pub enum Attempt {
    /// The message is done, or has failed, or will come again.
    Over,
    /// More decodings of its image have begun and not ended than may have in this turn.
    PutOff,
}

/// Whether an image is put off, of which so many decodings have begun and not ended. Else it fails.
pub fn may_come_later(unfinished: u32) -> bool {
    unfinished < limits::MAX_DECODINGS
}

/// Attempts each message of a batch, with the number of decodings of its image that may have begun and not ended. What is
/// left over is for the sweeper.
pub async fn in_turns<M>(
    mut batch: Vec<M>,
    is_last_receive: bool,
    mut attempt: impl AsyncFnMut(&M, u32) -> Attempt,
) -> Vec<M> {
    let turns = if is_last_receive { 1 } else { limits::MAX_DECODINGS };
    for unfinished in 0..turns {
        let mut put_off = Vec::new();
        for message in batch {
            if attempt(&message, unfinished).await == Attempt::PutOff {
                put_off.push(message);
            }
        }
        batch = put_off;
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::BTreeSet,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    const IMAGES: usize = 5;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Nature {
        Healthy,
        /// Its worker dies the first time, of something else.
        Unlucky,
        /// Its worker dies each time.
        Deadly,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Thumbnails {
        Due,
        Ready,
        Failed,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Image {
        nature: Nature,
        thumbnails: Thumbnails,
        /// Decodings that have begun and not ended, as the row counts them.
        unfinished: u32,
        deaths: u32,
        /// Whether its message is still in the queue.
        is_queued: bool,
    }

    /// A worker that dies does not come back from an attempt.
    async fn death() -> Attempt {
        std::future::pending().await
    }

    /// The images after a worker had some of them in one batch, in this order.
    fn after(images: [Image; IMAGES], batch: &[usize], receive: u32) -> [Image; IMAGES] {
        let world = RefCell::new(images);
        let attempt = async |&at: &usize, unfinished: u32| {
            let image = world.borrow()[at];
            if receive > 1 && image.thumbnails != Thumbnails::Due {
                return Attempt::Over;
            }
            if image.unfinished > unfinished {
                if may_come_later(image.unfinished) {
                    return Attempt::PutOff;
                }
                world.borrow_mut()[at].thumbnails = Thumbnails::Failed;
                return Attempt::Over;
            }
            world.borrow_mut()[at].unfinished += 1;
            if image.nature == Nature::Deadly || image.nature == Nature::Unlucky && image.deaths == 0 {
                world.borrow_mut()[at].deaths += 1;
                return death().await;
            }
            world.borrow_mut()[at].unfinished = 0;
            world.borrow_mut()[at].thumbnails = Thumbnails::Ready;
            Attempt::Over
        };
        let survives = {
            let work = pin!(in_turns(batch.to_vec(), receive == limits::MAX_RECEIVES, attempt));
            work.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        let mut images = world.into_inner();
        for &at in batch {
            images[at].is_queued &= !survives;
        }
        images
    }

    /// Every order of the messages that are queued, cut into batches in every way.
    fn deliveries(images: &[Image; IMAGES]) -> Vec<Vec<Vec<usize>>> {
        let queued: Vec<usize> = (0..IMAGES).filter(|&at| images[at].is_queued).collect();
        let mut orders = vec![Vec::new()];
        for _ in &queued {
            let longer = |order: Vec<usize>| {
                let rest: Vec<usize> = queued.iter().copied().filter(|at| !order.contains(at)).collect();
                rest.into_iter().map(move |at| [order.clone(), vec![at]].concat())
            };
            orders = orders.into_iter().flat_map(longer).collect();
        }
        let cut = |order: Vec<usize>| {
            // Each bit says whether a batch ends between two messages.
            (0_u32..1 << order.len().saturating_sub(1)).map(move |cuts| {
                let mut batches = vec![Vec::new()];
                for (n, &at) in order.iter().enumerate() {
                    if n > 0 && (cuts >> (n - 1)) & 1 == 1 {
                        batches.push(Vec::new());
                    }
                    batches.last_mut().unwrap().push(at);
                }
                batches
            })
        };
        orders.into_iter().flat_map(cut).collect()
    }

    /// All that may have become of the images when the queue has handed their messages out once more.
    fn received(before: &BTreeSet<[Image; IMAGES]>, receive: u32) -> BTreeSet<[Image; IMAGES]> {
        let mut all = BTreeSet::new();
        for images in before {
            for batches in deliveries(images) {
                let mut images = batches.iter().fold(*images, |images, batch| after(images, batch, receive));
                // In which place an image is makes no difference.
                images.sort();
                all.insert(images);
            }
        }
        all
    }

    fn every_mixture() -> Vec<[Nature; IMAGES]> {
        let mut mixtures = Vec::new();
        for healthy in 0..=IMAGES {
            for unlucky in 0..=IMAGES - healthy {
                let nature = |at| match at {
                    at if at < healthy => Nature::Healthy,
                    at if at < healthy + unlucky => Nature::Unlucky,
                    _ => Nature::Deadly,
                };
                mixtures.push(std::array::from_fn(nature));
            }
        }
        mixtures
    }

    #[test]
    fn r04_whatever_is_in_a_batch_and_however_it_comes_only_the_deadly_fail() {
        for mixture in every_mixture() {
            let killers = mixture.iter().filter(|&&nature| nature != Nature::Healthy).count();
            let begun = mixture.map(|nature| Image {
                nature,
                thumbnails: Thumbnails::Due,
                unfinished: 0,
                deaths: 0,
                is_queued: true,
            });
            let mut worlds = BTreeSet::from([begun]);
            for receive in 1..=limits::MAX_RECEIVES {
                worlds = received(&worlds, receive);
                if receive as usize > killers {
                    let is_done =
                        |image: &Image| image.nature != Nature::Healthy || image.thumbnails == Thumbnails::Ready;
                    assert!(worlds.iter().flatten().all(is_done), "{mixture:?} at receive {receive}: {worlds:#?}");
                }
            }
            // With a neighbour that is healthy, no message reaches the dead-letter queue.
            let is_gone = |image: &Image| !image.is_queued || killers == IMAGES;
            assert!(worlds.iter().flatten().all(is_gone), "{mixture:?}: {worlds:#?}");

            // The sweeper sends again what is due, until nothing is.
            for _ in 0..2 {
                worlds = worlds.into_iter().map(|images| images.map(sent_again)).collect();
                for receive in 1..=limits::MAX_RECEIVES {
                    worlds = received(&worlds, receive);
                }
            }
            for image in worlds.iter().flatten() {
                let (thumbnails, deaths) = match image.nature {
                    Nature::Healthy => (Thumbnails::Ready, 0),
                    Nature::Unlucky => (Thumbnails::Ready, 1),
                    Nature::Deadly => (Thumbnails::Failed, limits::MAX_DECODINGS),
                };
                assert_eq!((image.thumbnails, image.deaths), (thumbnails, deaths), "of {mixture:?}");
            }
        }
    }

    fn sent_again(image: Image) -> Image {
        Image { is_queued: image.thumbnails == Thumbnails::Due, ..image }
    }
}
